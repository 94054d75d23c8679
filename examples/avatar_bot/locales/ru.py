"""The Russian texts."""

from __future__ import annotations

AVATAR_PRICE = 150

CREATE_AVATAR = "Создать аватар"
HELP_BUTTON = "❓ Помощь"
BACK_TO_MAIN = "◀️ Главное меню"
BALANCE_DETAILS = "✨ Подробности"

UNKNOWN_USER = "❌ Пользователь не найден. Отправьте /start."
BAD_BUTTON = "❌ Ошибка в данных пополнения"
FAILED = "❌ Произошла ошибка. Попробуйте позже."
HELP = "ℹ️ Аватар — это ваш портрет, нарисованный по нескольким фото.\n\n/start — главное меню"
MAIN_MENU = "👋 Главное меню\n\nВыберите действие:"


def plural(count: int, one: str, few: str, many: str) -> str:
    """Return `count` with the form of the noun that Russian asks for."""
    last = 0 if count % 100 in range(11, 15) else count % 10
    form = one if last == 1 else few if last in (2, 3, 4) else many
    return f"{count} {form}"


def coins(count: int) -> str:
    """Return an amount, e.g. `22 кредита`."""
    return plural(count, "кредит", "кредита", "кредитов")


def welcome(first_name: str, balance: int) -> str:
    """Greet after /start."""
    return f"👋 Добро пожаловать, {first_name}!\nНа балансе {coins(balance)}. Выберите действие:"


def avatar_menu(balance: int, avatars_count: int) -> str:
    """Show what the user has and what an avatar costs."""
    return (
        "🧑‍🎨 Аватары\n\n"
        f"💎 Баланс: {coins(balance)}\n"
        f"📁 У вас {plural(avatars_count, 'аватар', 'аватара', 'аватаров')}\n\n"
        f"Новый аватар стоит {coins(AVATAR_PRICE)}."
    )


def topped_up(added: int, balance: int) -> str:
    """Tell that coins have arrived."""
    return (
        f"💰 Баланс пополнен!\n\n➕ Добавлено: {coins(added)}\n💎 Текущий баланс: {coins(balance)}"
    )


def balance_details(added: int, balance_then: int, balance_now: int) -> str:
    """Show a top-up in an alert, which holds 200 characters."""
    return (
        "💰 Детали пополнения:\n\n"
        f"➕ Пополнено: {coins(added)}\n"
        f"💎 После пополнения: {coins(balance_then)}\n"
        f"💎 Сейчас на балансе: {coins(balance_now)}"
    )
