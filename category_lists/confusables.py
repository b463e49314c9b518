"""Letters that look like Latin ones, and what a name or word looks like once they are read as those.

A small table of our own after the idea of UTS #39: the letters with which names are faked in practice (Cyrillic, Greek,
Armenian, Cherokee, small capitals, and digits for letters). Not the whole of Unicode: a name in a script that nobody
confuses with Latin is left alone. Pure.
"""

from typing import Final

_PAIRS = """
а a  в b  с c  ԁ d  е e  ё e  ғ f  ɡ g  һ h  н h  і i  ї i  ј j  к k  ӏ l  м m  п n  о o  р p  ԛ q  г r  ѕ s  т t  у y
ү y  ѵ v  ѡ w  ԝ w  х x  ҳ x  А a  В b  С c  Е e  Н h  І i  Ј j  К k  М m  О o  Р p  Ѕ s  Т t  У y  Х x  Ԝ w  α a  β b
ϲ c  ε e  η n  ι i  κ k  ν v  ο o  ρ p  σ o  τ t  υ u  χ x  ω w  γ y  Α a  Β b  Ε e  Ζ z  Η h  Ι i  Κ k  Μ m  Ν n  Ο o
Ρ p  Τ t  Υ y  Χ x  օ o  ս u  հ h  ո n  ց g  զ q  ք p  ե t  Ꭺ a  Ᏼ b  Ꮯ c  Ꭼ e  Ꮋ h  Ꭻ j  Ꮶ k  Ꮮ l  Ꮇ m  Ꮲ p  Ꮪ s  Ꭲ t
Ꮩ v  Ꮃ w  Ꮓ z  ɑ a  ɓ b  ƈ c  ɖ d  ɗ d  ɛ e  ɣ y  ɩ i  ı i  ɭ l  ł l  ɱ m  ɲ n  ŋ n  ɵ o  ø o  ƥ p  ʀ r  ʂ s  ƭ t  ʋ u
ʏ y  ʐ z  ᴀ a  ʙ b  ᴄ c  ᴅ d  ᴇ e  ɢ g  ʜ h  ɪ i  ᴊ j  ᴋ k  ʟ l  ᴍ m  ɴ n  ᴏ o  ᴘ p  ꜱ s  ᴛ t  ᴜ u  ᴠ v  ᴡ w  ᴢ z  đ d
ħ h  ŧ t  ß b
"""
_WORDS = _PAIRS.split()
LETTERS: Final[dict[str, str]] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
DIGITS: Final[dict[str, str]] = {"0": "o", "1": "l", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b"}
