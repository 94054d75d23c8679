"""The English texts."""

from __future__ import annotations

CREATE_AVATAR = "Create an avatar"
NEW_AVATAR = "➕ New avatar"
GALLERY = "🖼 Gallery"
HELP_BUTTON = "❓ Help"
BACK_TO_MAIN = "◀️ Main menu"
BACK = "◀️ Back"
CANCEL = "↩️ Cancel"
BALANCE_DETAILS = "✨ Details"
MALE = "👨 Male"
FEMALE = "👩 Female"
PORTRAIT = "🎭 Portrait"
STYLE = "🎨 Artistic"
PHOTOS_DONE = "✅ Done"
ADD_PHOTOS = "📷 Add photos"
TRAIN = "🚀 Train the avatar"
START_TRAINING = "💎 Pay and start"
MAKE_MAIN = "⭐ Make it the main one"
RENAME = "✏️ Rename"
DELETE = "🗑 Delete"
REALLY_DELETE = "🗑 Yes, delete"
SOURCE_PHOTOS = "📷 Source photos"

COMMANDS = {"start": "Main menu", "help": "How to use the bot"}

UNKNOWN_USER = "❌ You are not registered. Send /start."
UNKNOWN_AVATAR = "❌ This avatar does not exist any more."
BAD_BUTTON = "❌ The data of this top-up is broken"
OLD_BUTTON = "⌛ This button is out of date. Send /start."
UNKNOWN_INPUT = "🤔 I do not understand. Send /start for the menu, or /help."
USE_BUTTONS = "👆 Please choose with one of the buttons above."
FAILED = "❌ Something went wrong. Please try again later."
HELP = (
    "ℹ️ An avatar is your portrait, drawn from a few photos.\n\n"
    "Create an avatar, send photos and start the training.\n\n"
    "/start — main menu"
)
ASK_GENDER = "Step 2 of 3. Whose portrait is it?"
ASK_TYPE = "Step 3 of 3. What kind of avatar would you like?"
CANCELLED = "Cancelled."
BAD_NAME = "✏️ A name has 1 to 32 characters on one line. Please try again:"
ASK_NEW_NAME = "✏️ Send the new name of the avatar:"
PHOTO_AS_FILE = "📷 Please send the picture as a photo, not as a file."
PHOTO_UNEXPECTED = "📷 To add photos, create an avatar first: /start."
PHOTO_WANTED = "📷 I am waiting for photos. Press “Cancel” to leave."
NO_AVATARS = "🖼 The gallery is empty.\n\nCreate your first avatar!"
BUSY = "⏳ The avatar is in training. Please wait until it is done."
ALREADY_TRAINED = "✅ This avatar has been trained already. You will find it in the gallery."
NOW_MAIN = "⭐ This is now your main avatar"
DELETED = "🗑 The avatar was deleted"
NO_PHOTOS = "This avatar has no photos."
NAMES_OF_STATUS = {
    "draft": "draft",
    "training": "in training",
    "ready": "ready",
    "failed": "training failed",
}
NAMES_OF_TYPE = {"portrait": "portrait", "style": "artistic"}


def plural(count: int, one: str, many: str) -> str:
    """Return `count` with the right form of the noun."""
    return f"{count} {one if count == 1 else many}"


def coins(count: int) -> str:
    """Return an amount, e.g. `22 credits`."""
    return plural(count, "credit", "credits")


def bar(done: int, total: int) -> str:
    """Return a progress bar of ten squares."""
    filled = done * 10 // total
    return "▰" * filled + "▱" * (10 - filled)


def welcome(first_name: str, balance: int) -> str:
    """Greet after /start."""
    return f"👋 Welcome, {first_name}!\nYou have {coins(balance)}. What would you like to do?"


def main_menu(balance: int) -> str:
    """Show the main menu."""
    return f"👋 Main menu\n\n💎 Balance: {coins(balance)}\n\nWhat would you like to do?"


def avatar_menu(balance: int, avatars_count: int, price: int) -> str:
    """Show what the user has and what an avatar costs."""
    return (
        "🧑‍🎨 Avatars\n\n"
        f"💎 Balance: {coins(balance)}\n"
        f"📁 You have {plural(avatars_count, 'avatar', 'avatars')}\n\n"
        f"Training an avatar costs {coins(price)}."
    )


def ask_name(balance: int, price: int) -> str:
    """Ask for the name of a new avatar."""
    return (
        f"New avatar\n\n💎 Balance: {coins(balance)}; the training costs {coins(price)}.\n\n"
        "Step 1 of 3. What should it be called?"
    )


def ask_photos(name: str, count: int, least: int, most: int) -> str:
    """Ask for the photos of an avatar."""
    return (
        f"📷 Photos for “{name}”\n\n{bar(count, most)} {count} of {most}\n\n"
        f"Send {least} to {most} photos, as an album if you like. "
        "A close-up of the face in good light works best."
    )


def photos_refused(small: int, repeated: int, extra: int, most: int, side: int) -> str:
    """Tell which photos were not taken, and why."""
    lines = []
    if small:
        lines.append(f"⚠️ Too small: {small}. At least {side}×{side} pixels, please.")
    if repeated:
        lines.append(f"⚠️ Already added: {repeated}.")
    if extra:
        lines.append(f"⚠️ Too many: {extra}. {most} photos are enough.")
    return "\n".join(lines)


def too_few_photos(count: int, least: int) -> str:
    """Tell that a training needs more photos."""
    return f"At least {least} photos are needed; so far there are {count}."


def confirm_training(name: str, photos: int, price: int, balance: int) -> str:
    """Ask whether to pay."""
    return (
        f"🚀 Training of “{name}”\n\n📷 Photos: {photos}\n💰 Price: {coins(price)}\n"
        f"💎 Balance: {coins(balance)}\n\nIf something goes wrong, you will get your credits back."
    )


def not_enough_coins(price: int, balance: int) -> str:
    """Tell that the balance does not suffice."""
    return f"💎 Not enough credits: {price} are needed, you have {balance}."


def training_progress(name: str, done: int, total: int) -> str:
    """Show how far a training is."""
    return f"🚀 Training “{name}”\n\n{bar(done, total)} {done * 100 // total}%"


def training_done(name: str) -> str:
    """Tell that an avatar is ready."""
    return f"🎉 “{name}” is ready!"


def training_failed(name: str, price: int) -> str:
    """Tell that a training failed."""
    return f"😔 The training of “{name}” failed. We have returned {coins(price)} to your balance."


def avatar_card(avatar: object, position: int, total: int) -> str:
    """Describe an avatar in the gallery."""
    star = "⭐ " if avatar.is_main else ""
    return (
        f"{star}{avatar.name}\n\nType: {NAMES_OF_TYPE[avatar.type.value]}\n"
        f"State: {NAMES_OF_STATUS[avatar.status.value]}\n"
        f"Photos: {len(avatar.photos)}\n\n{position} of {total}"
    )


def really_delete(name: str) -> str:
    """Ask before deleting."""
    return f"🗑 Delete “{name}” with its photos? This cannot be undone."


def renamed(name: str) -> str:
    """Confirm a new name."""
    return f"✏️ Done: the avatar is now called “{name}”."


def topped_up(added: int, balance: int) -> str:
    """Tell that coins have arrived."""
    return (
        f"💰 Your balance was topped up!\n\n➕ Added: {coins(added)}\n💎 Balance: {coins(balance)}"
    )


def balance_details(added: int, balance_then: int, balance_now: int) -> str:
    """Show a top-up in an alert, which holds 200 characters."""
    return (
        "💰 Details of the top-up:\n\n"
        f"➕ Added: {coins(added)}\n"
        f"💎 Balance after it: {coins(balance_then)}\n"
        f"💎 Balance now: {coins(balance_now)}"
    )
