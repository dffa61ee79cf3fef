"""Forms of values: how a record with named fields becomes an array (GEN-4), and what decoding refuses (GEN-5).

A record is a `dict` of its fields; a choice is a pair `(number, record)`. What a form does not look at (the length of a
signature, of a sealed form, the range of an index) is left to the flow that reads it.
"""

from . import cbor
from .names import NAME_BYTES


class Scalar:
    """A value that is one CBOR item, refused unless `test` holds."""

    def __init__(self, test):
        self.test = test

    def read(self, raw):
        if not self.test(raw):
            raise cbor.NotCanonical("a value that does not fit its form")
        return raw

    write = read


def unsigned(size):
    """An unsigned integer of at most `size` bytes."""
    return Scalar(lambda raw: type(raw) is int and 0 <= raw < 1 << (8 * size))


def below(most):
    """A choice that never has fields: its number alone (GEN-4)."""
    return Scalar(lambda raw: type(raw) is int and 0 <= raw < most)


def sized(size):
    """A byte string of exactly `size` bytes."""
    return Scalar(lambda raw: isinstance(raw, bytes) and len(raw) == size)


U8, U32, U64 = unsigned(1), unsigned(4), unsigned(8)
B32 = sized(32)
BYTES = Scalar(lambda raw: isinstance(raw, bytes))
BOOL = Scalar(lambda raw: isinstance(raw, bool))
NAME = Scalar(lambda raw: isinstance(raw, str) and 1 <= len(raw.encode()) <= NAME_BYTES)  # GEN-12, GEN-12a


class Nullable:
    """`form / null`, a field that is always written."""

    def __init__(self, form):
        self.form = form

    def read(self, raw):
        return None if raw is None else self.form.read(raw)

    def write(self, value):
        return None if value is None else self.form.write(value)


class Optional(Nullable):
    """A field that may be absent: `null` inside, left out at the end (GEN-4)."""


class Many:
    """An array of one form; `most` where a flow bounds it."""

    def __init__(self, form):
        self.form = form

    def read(self, raw):
        if not isinstance(raw, list):
            raise cbor.NotCanonical("no array")
        return [self.form.read(item) for item in raw]

    def write(self, value):
        return [self.form.write(item) for item in value]


class Record:
    """A record with named fields: the array of its fields in their order (GEN-4)."""

    def __init__(self, **fields):
        self.fields = fields

    def read(self, raw):
        if not isinstance(raw, list) or len(raw) > len(self.fields):
            raise cbor.NotCanonical("no such record")
        value = {}
        for number, (name, form) in enumerate(self.fields.items()):
            if number >= len(raw):
                if not isinstance(form, Optional):
                    raise cbor.NotCanonical("a field is missing")
                value[name] = None
            else:
                value[name] = form.read(raw[number])
        return value

    def write(self, value):
        forms = list(self.fields.items())
        raw = [form.write(value.get(name)) for name, form in forms]
        while raw and raw[-1] is None and isinstance(forms[len(raw) - 1][1], Optional):
            raw.pop()
        return raw


class Choice:
    """`[number, [fields]]` (GEN-4); a value is `(number, record)`."""

    def __init__(self, *records):
        self.records = records

    def read(self, raw):
        if not (isinstance(raw, list) and len(raw) == 2 and type(raw[0]) is int and raw[0] < len(self.records)):
            raise cbor.NotCanonical("no such choice")
        return raw[0], self.records[raw[0]].read(raw[1])

    def write(self, value):
        return [value[0], self.records[value[0]].write(value[1])]


def to_bytes(form, value):
    """The one encoding of `value` (GEN-4)."""
    return cbor.encode(form.write(value))


def from_bytes(form, data):
    """Decodes, encodes again and compares (GEN-5); raises `cbor.NotCanonical`."""
    try:
        value = form.read(cbor.decode(data))
        if cbor.encode(form.write(value)) != data:
            raise cbor.NotCanonical("another encoding of the value")
    except (TypeError, KeyError, UnicodeEncodeError) as error:
        raise cbor.NotCanonical(str(error)) from None
    return value
