"""Does a text carry contact details or links? People who are led away from the market lose its protection.

A hint for pages, which warn; nothing is held back for it. It errs towards silence: prices, sizes, dates and order
numbers are what this market talks about all day. Latin script, with the usual disguises: "ana at mail dot com".

It runs for every message that is posted. So the cheapest question comes first (is there an @ at all?), and the dear
ones look at a short stretch behind each place that answers it: time grows with the length of the text, never faster.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import Final, Literal

MessageWarning = Literal["contact_details", "link"]

# Places looked at in one text, and how far from each.
_PLACES_MAX: Final = 40
_STRETCH: Final = 64
_DIGITS_MIN: Final = 9

_ENDINGS: Final = (
    "com|net|org|info|biz|xyz|io|co|gg|ly|gl|pt|fr|uk|nl|ie|pl|dk|fi|cz|ru|ua|br|mx|jp|cn|au"
)
# Everyday words too: "Thanks.me too". They count where nothing but an address ends like this.
_WORDY_ENDINGS: Final = "shop|store|online|site|app|dev|club|live|link|page|me|us|es|de|be|se|no|ch|ca|eu|it|at|tv|cc|ar"
_MAILERS: Final = "(?:gmail|hotmail|outlook|yahoo|icloud|proton(?:mail)?|gmx|sapo|aol|yandex)"
_DOT: Final = r"(?:\.|\s?[(\[{]\s?(?:\.|dot|ponto|punto)\s?[)\]}]\s?|\s(?:dot|ponto|punto)\s)"
_DOMAIN: Final = rf"(?:[\w-]{{1,30}}{_DOT}){{1,3}}(?:{_ENDINGS}|{_WORDY_ENDINGS})\b"

# Behind an @: ana@mail.com, ana @ mail . com, ana@gmail, @ana_92.
_BEHIND_AT: Final = re.compile(
    rf"""
      (?<=[\w.+-]@)\s?(?:[\w-]{{1,30}}\s?{_DOT}\s?){{1,4}}[a-z]{{2,12}}\b
    | (?<=[\w.+-]\s@)\s?(?:[\w-]{{1,30}}\s?{_DOT}\s?){{1,4}}[a-z]{{2,12}}\b
    | \s?{_MAILERS}\b
    | (?<![\w.+-]@)[a-z](?=[a-z]{{0,20}}[0-9_.][a-z0-9])[\w.]{{3,30}}
    """,
    re.VERBOSE,
)
# Before it: ana at mail dot com, ana (at) gmail.
_SPOKEN_AT: Final = (
    " at ",
    " arroba ",
    "(at)",
    "[at]",
    "{at}",
    "( at )",
    "[ at ]",
    "(@)",
    "[@]",
    "(arroba)",
    "[arroba]",
)
_BEHIND_SPOKEN_AT: Final = re.compile(rf"\s?(?:{_DOMAIN}|{_MAILERS}\b)")

# Messengers that are nothing else; such that need an invitation before or a handle behind them; and their addresses.
_MESSENGER: Final = re.compile(
    r"""
      \bwhats\s?app\b | \bw(?:pp|app)\b | \bzap\s?zap\b | \b(?:t|wa)\.me/\w | \bwe\s?chat\b | \bviber\b
    | \b(?:my|on|via|over|by|meu|no|pelo|por|mi|en|mon|sur|auf|mein)\s
      (?:telegram|signal|skype|insta(?:gram)?|snap(?:chat)?|discord|facebook|messenger)\b
    | \b(?:telegram|signal|skype|insta(?:gram)?|snap(?:chat)?|discord|facebook|messenger|line\sid)\s?[:=@]\s?@?\w
    """,
    re.VERBOSE,
)
_MESSENGER_PARTS: Final = (
    "whats",
    "wpp",
    "wapp",
    "zap",
    ".me/",
    "chat",
    "viber",
    "telegram",
    "signal",
    "skype",
    "insta",
    "discord",
    "facebook",
    "messenger",
    "snap",
    "line id",
)

_NUMBER: Final = re.compile(rf"[0-9](?:[\s().*_/-]{{0,2}}[0-9]){{{_DIGITS_MIN - 2},}}")
# What makes a number something else, right behind it: more of it, or a unit.
_PRICE_OR_SIZE: Final = r"""
    (?![\w#-]|[.,/][0-9]|\s?(?:[€$£%]|(?:eur|usd|gbp|brl|chf|euros?|reais|x|cm|mm|kg|km|m2|m²|pcs|units?)\b))
    """
# The ways in which people write phone numbers, and in which nothing else is written.
_PHONE_FORMS: Final = r"""
      (?:\+|00\s?)[1-9](?:[\s().-]{0,2}[0-9]){7,13}                       # +351 912 345 678
    | \(?0[0-9](?:[\s.-]?[0-9]{2}){4}                                     # 06 12 34 56 78
    | \(?0[0-9]{2,4}\)?[\s/-][0-9]{3,7}(?:[\s-][0-9]{2,5})?               # 0171 234 5678, 07700 900123
    | [269][0-9]{2}[\s.-][0-9]{3}[\s.-][0-9]{3}                           # 912 345 678
    | [679][0-9]{2}(?:[\s.-][0-9]{2}){3}                                  # 612 34 56 78
    | 9[0-9][\s.-][0-9]{3}[\s.-][0-9]{2}[\s.-][0-9]{2}                    # 91 234 56 78
    | \(?[2-9][0-9]{2}\)?[\s.-][0-9]{3}[\s.-][0-9]{4}                     # (555) 123-4567
    | \(?[1-9][0-9]\)?\s?9[0-9]{4}[\s-]?[0-9]{4}                          # (11) 91234-5678
    | 0[1-9][0-9]{8,9} | [269][0-9]{8}                                    # 912345678
    | [0-9](?:[\s._*-][0-9]){8,12}                                        # 9 1 2 3 4 5 6 7 8
    """
_PHONE: Final = re.compile(f"(?:{_PHONE_FORMS}){_PRICE_OR_SIZE}", re.VERBOSE)
# What makes a long number something else, right before it.
_NAMED_NUMBER: Final = re.compile(
    r"(?:order|pedido|encomenda|invoice|fatura|factura|ref(?:er[eê]n[cs]ia|erence)?|sku|ean|isbn|gtin|upc|serial|tracking"
    r"|parcel|code|c[oó]digo|n[ºo°r]?|num(?:ber)?|número|nif|vat|id|[€$£#])"
    r"(?:\s(?:no|number|n[ºo°]|id|code|is|é))?[\s.:#]{0,3}$"
)

# English, Portuguese, Spanish.
_DIGIT_WORDS: Final = frozenset(
    (
        *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
        *("um", "dois", "tres", "três", "quatro", "cinco", "seis", "sete", "oito", "nove"),
        *("cero", "uno", "dos", "cuatro", "siete", "ocho", "nueve"),
    )
)
_DIGIT_WORDS_MIN: Final = 7
_BETWEEN_WORDS: Final = str.maketrans(",.-/", "    ")

# ISO 13616: country, check digits, then up to 30 letters and digits, in groups of four where people read them.
_IBAN: Final = re.compile(r"\b[a-z]{2}[0-9]{2}(?:[ ]?[a-z0-9]{4}){2,7}(?:[ ]?[a-z0-9]{1,3})?\b")
_IBAN_CHARS: Final = range(15, 35)

_ADDRESS_ENDING: Final = re.compile(
    rf"\.(?<=[a-z0-9]\.)(?:(?:{_ENDINGS})(?![\w@-]|\.\w)|(?:{_WORDY_ENDINGS})(?=/))"
)


def warnings_of(text: str) -> tuple[MessageWarning, ...]:
    """What a page should warn of beside this text, in a fixed order; usually nothing."""
    # Full-width digits and letters are read as the plain ones that they look like.
    plain = (text if text.isascii() else unicodedata.normalize("NFKC", text)).lower()
    found: list[MessageWarning] = []
    if (
        _has_address(plain)
        or _has_number(plain)
        or _has_messenger(plain)
        or _has_spelled_number(plain)
    ):
        found.append("contact_details")
    if count_links(plain):
        found.append("link")
    return tuple(found)


def count_links(text: str) -> int:
    """How many web addresses stand in a text; of one with a scheme, both it and the ending count."""
    if "." not in text:
        return 0
    endings = sum(1 for match in _ADDRESS_ENDING.finditer(text) if not _is_mailbox(text, match))
    return text.count("://") + text.count("www.") + endings


def _is_mailbox(text: str, ending: re.Match[str]) -> bool:
    """Whether the address that ends here is an e-mail's."""
    before = text[max(0, ending.start() - _STRETCH) : ending.start()]
    return "@" in before.rpartition(" ")[2]


def _places(text: str, what: str) -> Iterator[int]:
    """Where `what` ends, in the first few places."""
    at = -1
    for _ in range(_PLACES_MAX):
        at = text.find(what, at + 1)
        if at < 0:
            return
        yield at + len(what)


def _has_address(text: str) -> bool:
    if "@" in text:
        for at in _places(text, "@"):
            if _BEHIND_AT.match(text, at, at + _STRETCH):
                return True
    for spoken in _SPOKEN_AT:
        if spoken in text:
            for at in _places(text, spoken):
                if _BEHIND_SPOKEN_AT.match(text, at, at + _STRETCH):
                    return True
    return False


def _has_messenger(text: str) -> bool:
    for part in _MESSENGER_PARTS:
        if part in text:
            return _MESSENGER.search(text) is not None
    return False


def _has_number(text: str) -> bool:
    """A phone or bank account number: both hold nine digits in a row, whatever stands between them."""
    for number in islice(_NUMBER.finditer(text), _PLACES_MAX):
        if _is_phone(text, number.start()) or _has_iban(text, number.start()):
            return True
    return False


def _is_phone(text: str, start: int) -> bool:
    while start and text[start - 1] in "+(":
        start -= 1
    before = text[max(0, start - _STRETCH // 2) : start]
    if before and (before[-1].isalnum() or before[-1] in "_#.,/-"):
        return False
    return _PHONE.match(text, start) is not None and _NAMED_NUMBER.search(before) is None


def _has_iban(text: str, start: int) -> bool:
    stretch = text[max(0, start - _STRETCH // 4) : start + _STRETCH]
    for match in _IBAN.finditer(stretch):
        compact = match.group().replace(" ", "")
        # Words may follow: the account number is one of the beginnings.
        if any(_is_iban(compact[:length]) for length in _IBAN_CHARS if length <= len(compact)):
            return True
    return False


def _is_iban(compact: str) -> bool:
    """The check digits fit (ISO 7064, MOD 97-10)."""
    return int("".join(str(int(char, 36)) for char in compact[4:] + compact[:4])) % 97 == 1


def _has_spelled_number(text: str) -> bool:
    words = text.split()
    if len(words) < _DIGIT_WORDS_MIN and len(text) < _STRETCH // 2:
        return False
    if _DIGIT_WORDS.isdisjoint(words):
        return False
    in_a_row = 0
    for word in text.translate(_BETWEEN_WORDS).split():
        in_a_row = in_a_row + 1 if word in _DIGIT_WORDS else 0
        if in_a_row == _DIGIT_WORDS_MIN:
            return True
    return False
