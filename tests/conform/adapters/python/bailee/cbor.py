"""Deterministic CBOR of the narrow kind of GEN-4, and its strict decoder (GEN-5).

Values are `int` (unsigned), `bytes`, `str`, `bool`, `None` and `list`.
"""

DEPTH = 16


class NotCanonical(ValueError):
    """The bytes are not the one encoding of a value (GEN-4, GEN-5)."""


def _head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for extra, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << (8 * size):
            return bytes([major << 5 | extra]) + number.to_bytes(size, "big")
    raise ValueError("a number of more than 64 bits")


def encode(value):
    """The one encoding of `value` (GEN-4)."""
    if value is None:
        return b"\xf6"
    if value is False:
        return b"\xf4"
    if value is True:
        return b"\xf5"
    if isinstance(value, int):
        if value < 0:
            raise ValueError("a negative number")
        return _head(0, value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        raw = value.encode()
        return _head(3, len(raw)) + raw
    if isinstance(value, (list, tuple)):
        return _head(4, len(value)) + b"".join(encode(item) for item in value)
    raise TypeError(f"no encoding of {type(value).__name__}")


def read_head(data, at):
    """(major type, number, position behind) of the head at `at`; refuses one that is not the shortest."""
    if at >= len(data):
        raise NotCanonical("cut short")
    major, low = data[at] >> 5, data[at] & 31
    if low < 24:
        return major, low, at + 1
    if major == 7 or low > 27:
        raise NotCanonical("a head that GEN-4 does not know")
    size = 1 << (low - 24)
    if at + 1 + size > len(data):
        raise NotCanonical("cut short")
    number = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    if number < 24 or (size > 1 and number < 1 << (4 * size)):
        raise NotCanonical("not the shortest head")
    return major, number, at + 1 + size


def _string(major, data, at, length):
    if length > len(data) - at:
        raise NotCanonical("cut short")
    raw = bytes(data[at : at + length])
    if major == 2:
        return raw, at + length
    try:
        return raw.decode(), at + length
    except UnicodeDecodeError:
        raise NotCanonical("text that is not UTF-8") from None


def decode_at(data, at, depth=0):
    """(value, position behind) of the item at `at`."""
    major, number, at = read_head(data, at)
    if major == 0:
        return number, at
    if major in (2, 3):
        return _string(major, data, at, number)
    if major == 4:
        if depth == DEPTH or number > len(data) - at:
            raise NotCanonical("an array that does not fit")
        items = []
        for _ in range(number):
            item, at = decode_at(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 7 and number in (20, 21, 22):
        return {20: False, 21: True, 22: None}[number], at
    raise NotCanonical("a type that GEN-4 does not know")


def decode(data):
    """The value whose one encoding `data` is; refuses bytes behind it (GEN-5)."""
    value, at = decode_at(data, 0)
    if at != len(data):
        raise NotCanonical("bytes behind the value")
    return value
