"""What counts as contact details and links, and above all what does not."""

import random
import time

import pytest

from feira.platform.domain.contact_details import count_links, warnings_of

CONTACT = """
ana@example.com
Write me: ana.silva+market@mail.example.co.uk please
ana @ gmail . com
ana@gmail
ana at gmail dot com
ana (at) mail.pt
ana[at]gmail[dot]com
joao arroba sapo ponto pt
mail me at ana AT outlook
ana{at}proton
+351 912 345 678
call 00351 912345678
912345678
912 345 678
912.345.678
tel:91 234 56 78
06 12 34 56 78
0171 2345678
07700 900123
(555) 123-4567
555-123-4567
(11) 91234-5678
11912345678
9 1 2 3 4 5 6 7 8
9.1.2.3.4.5.6.7.8
Ring 912345678, after six.
nine one two three four five six seven eight
nove, um, dois, três, quatro, cinco, seis, sete, oito
do you have whatsapp?
WhatsApp me
manda wpp
find me on telegram
my insta is blue
telegram: anasilva
skype:ana
insta @ana
@ana_silva92
t.me/anasilva
wa.me/351912345678
PT50 0002 0123 1234 5678 9015 4
pt50000201231234567890154
IBAN: DE89 3704 0044 0532 0130 00 thanks
GB82 WEST 1234 5698 7654 32
""".strip().splitlines()

PLAIN = """
Bom dia, ainda tem?
The chair is 1 250 000 EUR
Costs 912 345 678 €
1.250.000,00 €
Order 1234567890 has not arrived
order no. 912345678
pedido nº 912345678
my order #912345678
tracking RR123456789PT
tracking number 912345678
EAN 5601234567890
ISBN 978-3-16-148410-0
100 x 200 x 300 cm
100x200x300
100 200 300 400
sizes 36 37 38 39 40 41 42
size 42, 43 or 44?
2024-05-12 10:30
12.05.2024 at 10:30
12/05/2024
between 12.05.2024 and 13.05.2024
10 20 30 40 50 60
I have 3 chairs at 45,00 each
see you at 10
I'm at work. see you
at the shop. Come early
2 @ 15 EUR each
@ 10:30
5 pieces @ 3.50
lot of 1000 pieces, 2500 g
postal code 1000-001 Lisboa
zip 90210-1234
invoice 2024/000123
fatura FT 2024/123456
It weighs 1.200 kg and is 120 cm
one two three
I want one of two, or three or four
What a signal! The line is good
vintage telegram machine
The app is slow
I'll send it tomorrow.Thanks
ok.me too
ok.eu vou
version 2.0.1
e.g. this
e.g.this
3.5mm jack
30/40/50
1000000000
2x 500ml, 3x 250ml
AB12 CDEF 1234 5678 9012
RAL 9010 / RAL 7016
SKU 100200300
Paid 45.50 on 2024-11-24, ref 889123456
my phone is an iPhone 15 Pro 256
Serial number 356938035643809
chat soon
whatever, what's up?
45€ (at most)
300 000 000
From 9 to 17, 7 days
""".strip().splitlines()

LINKS = """
https://evil.example
see www.example.com
my-shop.com
look: my-shop.com/deal?x=1
shop.example.pt
my-shop.store/chairs
""".strip().splitlines()


@pytest.mark.parametrize("text", CONTACT)
def test_contact_details_are_warned_of(text: str) -> None:
    assert "contact_details" in warnings_of(text)


@pytest.mark.parametrize("text", PLAIN)
def test_prices_sizes_dates_and_order_numbers_are_not(text: str) -> None:
    assert warnings_of(text) == ()


@pytest.mark.parametrize("text", LINKS)
def test_links_are_warned_of_as_links(text: str) -> None:
    assert warnings_of(text) == ("link",)


def test_a_mailbox_is_no_link_and_both_together_are_both() -> None:
    assert warnings_of("ana@example.com") == ("contact_details",)
    both = "ana@example.com or my-shop.com"
    assert warnings_of(both) == ("contact_details", "link")


def test_links_are_counted() -> None:
    assert count_links("nothing. here") == 0
    assert count_links("a.com b.com c.com/x d.com") == 4


def test_full_width_digits_are_digits() -> None:
    wide = "".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in "912345678")
    assert warnings_of(wide) == ("contact_details",)


def test_words_around_do_not_hide_them() -> None:
    filler = "The chair is still here. "
    for text in CONTACT:
        assert "contact_details" in warnings_of(f"{filler * 3}{text} {filler}"), text


def test_no_text_makes_it_slow() -> None:
    """Time grows with the length: four thousand of the most awkward characters cost what a few messages do."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    pieces = ["a@", ". ", "b.", "1 ", "12-", "ab12 ", " at ", "(", "one ", "chat", "0", "www.", "+"]
    chosen = random.Random(seed)
    texts = [(piece * 4000)[:4000] for piece in pieces]
    texts += ["".join(chosen.choices(pieces, k=1500))[:4000] for _ in range(20)]
    started = time.process_time()
    for text in texts:
        warnings_of(text)
    # Measured: under 0.6 ms each. What backtracks takes seconds.
    assert (time.process_time() - started) / len(texts) < 0.05
