"""The Russian texts."""

from __future__ import annotations

CREATE_AVATAR = "Создать аватар"
NEW_AVATAR = "➕ Новый аватар"
GALLERY = "🖼 Галерея"
HELP_BUTTON = "❓ Помощь"
BACK_TO_MAIN = "◀️ Главное меню"
BACK = "◀️ Назад"
CANCEL = "↩️ Отмена"
BALANCE_DETAILS = "✨ Подробности"
MALE = "👨 Мужской"
FEMALE = "👩 Женский"
PORTRAIT = "🎭 Портрет"
STYLE = "🎨 Художественный"
PHOTOS_DONE = "✅ Готово"
ADD_PHOTOS = "📷 Добавить фото"
TRAIN = "🚀 Обучить аватар"
START_TRAINING = "💎 Оплатить и начать"
MAKE_MAIN = "⭐ Сделать основным"
RENAME = "✏️ Переименовать"
DELETE = "🗑 Удалить"
REALLY_DELETE = "🗑 Да, удалить"
SOURCE_PHOTOS = "📷 Исходные фото"

COMMANDS = {"start": "Главное меню", "help": "Как пользоваться ботом"}

UNKNOWN_USER = "❌ Пользователь не найден. Отправьте /start."
UNKNOWN_AVATAR = "❌ Этого аватара больше нет."
BAD_BUTTON = "❌ Ошибка в данных пополнения"
OLD_BUTTON = "⌛ Эта кнопка устарела. Отправьте /start."
UNKNOWN_INPUT = "🤔 Не понимаю. Отправьте /start, чтобы открыть меню, или /help."
USE_BUTTONS = "👆 Выберите вариант с помощью кнопок выше."
FAILED = "❌ Произошла ошибка. Попробуйте позже."
HELP = (
    "ℹ️ Аватар — это ваш портрет, нарисованный по нескольким фото.\n\n"
    "Создайте аватар, пришлите фото и запустите обучение.\n\n"
    "/start — главное меню"
)
ASK_GENDER = "Шаг 2 из 3. Чей это портрет?"
ASK_TYPE = "Шаг 3 из 3. Какой аватар сделать?"
CANCELLED = "Отменено."
BAD_NAME = "✏️ Имя — от 1 до 32 символов в одну строку. Попробуйте ещё раз:"
ASK_NEW_NAME = "✏️ Пришлите новое имя аватара:"
PHOTO_AS_FILE = "📷 Пришлите снимок как фото, а не как файл."
PHOTO_UNEXPECTED = "📷 Чтобы загрузить фото, сначала создайте аватар: /start."
PHOTO_WANTED = "📷 Сейчас я жду фото. Чтобы выйти, нажмите «Отмена»."
NO_AVATARS = "🖼 Галерея пуста.\n\nСоздайте первый аватар!"
BUSY = "⏳ Аватар обучается. Дождитесь окончания."
ALREADY_TRAINED = "✅ Этот аватар уже обучен. Он ждёт вас в галерее."
NOW_MAIN = "⭐ Теперь это основной аватар"
DELETED = "🗑 Аватар удалён"
NO_PHOTOS = "У этого аватара нет фото."
NAMES_OF_STATUS = {
    "draft": "черновик",
    "training": "обучается",
    "ready": "готов",
    "failed": "обучение не удалось",
}
NAMES_OF_TYPE = {"portrait": "портрет", "style": "художественный"}


def plural(count: int, one: str, few: str, many: str) -> str:
    """Return `count` with the form of the noun that Russian asks for."""
    last = 0 if count % 100 in range(11, 15) else count % 10
    form = one if last == 1 else few if last in (2, 3, 4) else many
    return f"{count} {form}"


def coins(count: int) -> str:
    """Return an amount, e.g. `22 кредита`."""
    return plural(count, "кредит", "кредита", "кредитов")


def bar(done: int, total: int) -> str:
    """Return a progress bar of ten squares."""
    filled = done * 10 // total
    return "▰" * filled + "▱" * (10 - filled)


def welcome(first_name: str, balance: int) -> str:
    """Greet after /start."""
    return f"👋 Добро пожаловать, {first_name}!\nНа балансе {coins(balance)}. Выберите действие:"


def main_menu(balance: int) -> str:
    """Show the main menu."""
    return f"👋 Главное меню\n\n💎 Баланс: {coins(balance)}\n\nВыберите действие:"


def avatar_menu(balance: int, avatars_count: int, price: int) -> str:
    """Show what the user has and what an avatar costs."""
    return (
        "🧑‍🎨 Аватары\n\n"
        f"💎 Баланс: {coins(balance)}\n"
        f"📁 У вас {plural(avatars_count, 'аватар', 'аватара', 'аватаров')}\n\n"
        f"Обучение одного аватара стоит {coins(price)}."
    )


def ask_name(balance: int, price: int) -> str:
    """Ask for the name of a new avatar."""
    return (
        f"Новый аватар\n\n💎 Баланс: {coins(balance)}, обучение стоит {coins(price)}.\n\n"
        "Шаг 1 из 3. Как назовём аватар?"
    )


def ask_photos(name: str, count: int, least: int, most: int) -> str:
    """Ask for the photos of an avatar."""
    return (
        f"📷 Фото для аватара «{name}»\n\n{bar(count, most)} {count} из {most}\n\n"
        f"Пришлите от {least} до {most} фото, можно альбомом. Лучше всего — лицо крупно, "
        "при хорошем свете."
    )


def photos_refused(small: int, repeated: int, extra: int, most: int, side: int) -> str:
    """Tell which photos were not taken, and why."""
    lines = []
    if small:
        lines.append(f"⚠️ Слишком маленькие: {small}. Нужно не меньше {side}×{side} пикселей.")
    if repeated:
        lines.append(f"⚠️ Уже загружены: {repeated}.")
    if extra:
        lines.append(f"⚠️ Лишние: {extra}. Достаточно {most} фото.")
    return "\n".join(lines)


def too_few_photos(count: int, least: int) -> str:
    """Tell that a training needs more photos."""
    return f"Нужно не меньше {least} фото, а пока {count}."


def confirm_training(name: str, photos: int, price: int, balance: int) -> str:
    """Ask whether to pay."""
    return (
        f"🚀 Обучение аватара «{name}»\n\n📷 Фото: {photos}\n💰 Стоимость: {coins(price)}\n"
        f"💎 Баланс: {coins(balance)}\n\nЕсли что-то пойдёт не так, мы вернём кредиты."
    )


def not_enough_coins(price: int, balance: int) -> str:
    """Tell that the balance does not suffice."""
    return f"💎 Не хватает кредитов: нужно {price}, на балансе {balance}."


def training_progress(name: str, done: int, total: int) -> str:
    """Show how far a training is."""
    return f"🚀 Обучаю аватар «{name}»\n\n{bar(done, total)} {done * 100 // total}%"


def training_done(name: str) -> str:
    """Tell that an avatar is ready."""
    return f"🎉 Аватар «{name}» готов!"


def training_failed(name: str, price: int) -> str:
    """Tell that a training failed."""
    return f"😔 Аватар «{name}» обучить не удалось. Мы вернули на баланс {coins(price)}."


def avatar_card(avatar: object, position: int, total: int) -> str:
    """Describe an avatar in the gallery."""
    star = "⭐ " if avatar.is_main else ""
    return (
        f"{star}{avatar.name}\n\nТип: {NAMES_OF_TYPE[avatar.type.value]}\n"
        f"Состояние: {NAMES_OF_STATUS[avatar.status.value]}\n"
        f"Фото: {len(avatar.photos)}\n\n{position} из {total}"
    )


def really_delete(name: str) -> str:
    """Ask before deleting."""
    return f"🗑 Удалить аватар «{name}» вместе с фото? Вернуть его будет нельзя."


def renamed(name: str) -> str:
    """Confirm a new name."""
    return f"✏️ Готово: теперь аватар зовётся «{name}»."


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
