# SPDX-License-Identifier: MIT
"""Writes and reads TensorFlow's checkpoints of version 2, from their definitions (tensor_bundle.proto, LevelDB's table_format.md,
snappy's format_description.txt, ordered_code.h): TensorFlow itself isn't in Debian. The reader shares nothing with tensorfs. NumPy is needed for arrays alone."""
import struct

DTYPES = {"float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "string": 7, "complex64": 8, "int64": 9, "bool": 10,
          "qint8": 11, "quint8": 12, "qint32": 13, "bfloat16": 14, "qint16": 15, "quint16": 16, "uint16": 17, "complex128": 18,
          "float16": 19, "resource": 20, "variant": 21, "uint32": 22, "uint64": 23, "float8_e5m2": 24, "float8_e4m3fn": 25,
          "int4": 29, "uint4": 30}
MAGIC = 0xDB4775248B80FB57
BLOCK = 4096  # TensorFlow's are of 256 KiB; these are for several in a small file

# --- Bytes ----------------------------------------------------------------------------------------------------------


def table():
    rows = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
        rows.append(n)
    return rows


CRC = table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n)


def message(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def snappy(data):
    """Literals, and copies of what came before where the last 4 bytes did: enough for every kind of tag."""
    out, last, at, begin = bytearray(varint(len(data))), {}, 0, 0

    def literal(part):
        n = len(part) - 1
        if n < 60:
            out.append(n << 2)
        else:
            width = (n.bit_length() + 7) // 8
            out.append(59 + width << 2)
            out.extend(n.to_bytes(width, "little"))
        out.extend(part)

    while at < len(data):
        word, found = data[at:at + 4], last.get(data[at:at + 4])
        last[word] = at
        if found is None or len(word) < 4:
            at += 1
            continue
        n, back = 4, at - found
        while n < 64 and at + n < len(data) and data[found + n] == data[at + n]:
            n += 1
        if begin < at:
            literal(data[begin:at])
        if n < 12 and back < 2048:
            out.extend([1 | n - 4 << 2 | back >> 8 << 5, back & 0xFF])
        elif back < 1 << 16:
            out.extend(bytes([2 | n - 1 << 2]) + struct.pack("<H", back))
        else:
            out.extend(bytes([3 | n - 1 << 2]) + struct.pack("<I", back))
        at += n
        begin = at
    if begin < len(data):
        literal(data[begin:])
    return bytes(out)


# --- Tables ---------------------------------------------------------------------------------------------------------


def block(pairs, interval=16):
    out, restarts, before = bytearray(), [], b""
    for i, (key, value) in enumerate(pairs):
        shared = 0
        if i % interval:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            restarts.append(len(out))
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return bytes(out) + struct.pack(f"<{len(restarts) or 1}I", *(restarts or [0])) + struct.pack("<I", len(restarts) or 1)


def sealed(content, compress=False):
    kind = b"\1" if compress else b"\0"
    stored = snappy(content) if compress else content
    return stored + kind + struct.pack("<I", masked(stored + kind))


def sstable(pairs, compress=lambda i: i % 2 == 1, size=BLOCK):
    out, index, part, i = bytearray(), [], [], 0

    def flush():
        nonlocal part, i
        data = sealed(block(part), compress(i))
        index.append((part[-1][0], varint(len(out)) + varint(len(data) - 5)))
        out.extend(data)
        part, i = [], i + 1

    for key, value in pairs:
        part.append((key, value))
        if sum(len(k) + len(v) for k, v in part) > size:
            flush()
    if part:
        flush()
    places = b""
    for data in (sealed(block([])), sealed(block(index, 1))):
        places += varint(len(out)) + varint(len(data) - 5)
        out += data
    return bytes(out) + places + bytes(40 - len(places)) + struct.pack("<Q", MAGIC)


# --- Bundles --------------------------------------------------------------------------------------------------------


def ordered_number(n):
    data = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([len(data)]) + data


def ordered_signed(n):
    """The sign's opposite as often as there are bytes, the sign, and the number's bits."""
    length = (n if n >= 0 else ~n).bit_length() // 7 + 1
    prefix = (1 << length) - 1 << 7 * length
    return ((n & (1 << 8 * length) - 1) ^ prefix).to_bytes(length, "big")


def slice_key(name, extents):
    escaped = b"".join(b"\0\xff" if b == 0 else b"\xff\0" if b == 255 else bytes([b]) for b in name.encode())
    return ordered_number(0) + escaped + b"\0\1" + ordered_number(len(extents)) + b"".join(
        ordered_signed(start) + ordered_signed(length) for start, length in extents)


def shape_of(shape):
    return message(2, b"".join(message(2, number(1, d) if d else b"") for d in shape))


def slice_of(extents):
    return message(7, b"".join(message(1, (number(1, start) if start else b"") + (number(2, length) if length >= 0 else b""))
                               for start, length in extents))


def header(shards=1, big=False):
    return number(1, shards) + (number(2, 1) if big else b"") + message(3, number(1, 1))


def entry(dtype, shape, shard=0, offset=0, data=b"", slices=(), size=None):
    size = len(data) if size is None else size
    return (number(1, DTYPES.get(dtype, dtype)) + shape_of(shape) + (number(3, shard) if shard else b"") +
            (number(4, offset) if offset else b"") + (number(5, size) if size else b"") +
            (varint(6 << 3 | 5) + struct.pack("<I", masked(data)) if not slices else b"") + b"".join(map(slice_of, slices)))


class Bundle:
    """A checkpoint that is being written. Tensors go to the data files in turn."""

    def __init__(self, shards=1, big=False):
        self.data, self.pairs, self.big, self.turn = [bytearray() for _ in range(shards)], {b"": header(shards, big)}, big, 0

    def place(self, data, shard=None):
        shard = self.turn % len(self.data) if shard is None else shard
        self.turn += 1
        at = len(self.data[shard])
        self.data[shard] += data
        return shard, at

    def add(self, name, dtype, shape, data, shard=None):
        shard, at = self.place(data, shard)
        self.pairs[name.encode()] = entry(dtype, shape, shard, at, data)

    def add_array(self, name, a, dtype=None):
        import numpy as np
        a = np.asarray(a)
        order = ">" if self.big else "<"
        self.add(name, dtype or a.dtype.name, a.shape, a.astype(a.dtype.newbyteorder(order)).tobytes())

    def add_slices(self, name, a, slices, dtype=None, shard=0):
        """@slices: for each the extents, of which one with a length of -1 is the whole dimension."""
        dtype = dtype or a.dtype.name
        self.pairs[name.encode()] = entry(dtype, a.shape, slices=slices)
        for extents in slices:
            part = a[tuple(slice(None) if n < 0 else slice(start, start + n) for start, n in extents)]
            data = part.astype(part.dtype.newbyteorder(">" if self.big else "<")).tobytes()
            _, at = self.place(data, shard)
            self.pairs[slice_key(name, extents)] = entry(dtype, part.shape, shard, at, data)

    def write(self, prefix, **how):
        with open(f"{prefix}.index", "wb") as out:
            out.write(sstable(sorted(self.pairs.items()), **how))
        for i, data in enumerate(self.data):
            with open(f"{prefix}.data-{i:05}-of-{len(self.data):05}", "wb") as out:
                out.write(data)


# --- Reading --------------------------------------------------------------------------------------------------------


def read_varint(data, at):
    n = shift = 0
    while True:
        n |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return n, at


def unsnappy(data):
    size, at = read_varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if not tag & 3:
            n = (tag >> 2) + 1
            if n > 60:
                width = n - 60
                n = int.from_bytes(data[at:at + width], "little") + 1
                at += width
            out += data[at:at + n]
            at += n
            continue
        width = (1, 2, 4)[(tag & 3) - 1]
        n = (tag >> 2 & 7) + 4 if tag & 3 == 1 else (tag >> 2) + 1
        back = int.from_bytes(data[at:at + width], "little") | (tag >> 5 << 8 if tag & 3 == 1 else 0)
        at += width
        for _ in range(n):
            out.append(out[-back])
    assert len(out) == size
    return bytes(out)


def read_block(data, at, size):
    content, kind = data[at:at + size], data[at + size]
    assert struct.unpack("<I", data[at + size + 1:at + size + 5])[0] == masked(data[at:at + size + 1])
    content = unsnappy(content) if kind else content
    (n,) = struct.unpack("<I", content[-4:])
    at, end, key = 0, len(content) - 4 * (n + 1), b""
    while at < end:
        shared, at = read_varint(content, at)
        more, at = read_varint(content, at)
        length, at = read_varint(content, at)
        key = key[:shared] + content[at:at + more]
        yield key, content[at + more:at + more + length]
        at += more + length


def fields(data):
    at, out = 0, []
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            value, at = read_varint(data, at)
        elif tag & 7 == 5:
            value, at = data[at:at + 4], at + 4
        else:
            n, at = read_varint(data, at)
            value, at = data[at:at + n], at + n
        out.append((tag >> 3, value))
    return out


def read(prefix):
    """(number of data files, name → (dtype's number, shape, shard, offset, size)) of what isn't sliced."""
    with open(prefix + ".index", "rb") as file:
        data = file.read()
    _, at = read_varint(data, len(data) - 48)
    _, at = read_varint(data, at)
    where, at = read_varint(data, at)
    size, at = read_varint(data, at)
    pairs = {}
    for _, value in read_block(data, where, size):
        begin, at = read_varint(value, 0)
        pairs.update(read_block(data, begin, read_varint(value, at)[0]))
    shards = dict(fields(pairs.pop(b""))).get(1, 0)
    found = {}
    for key, value in pairs.items():
        f = dict(fields(value))
        shape = [dict(fields(d)).get(1, 0) for n, d in fields(f.get(2, b"")) if n == 2]
        found[key.decode()] = f[1], shape, f.get(3, 0), f.get(4, 0), f.get(5, 0)
    return shards, found


def array(prefix, shards, dtype, shape, shard, offset, size):
    import numpy as np
    name = {v: k for k, v in DTYPES.items()}[dtype]
    with open(f"{prefix}.data-{shard:05}-of-{shards:05}", "rb") as file:
        file.seek(offset)
        return np.frombuffer(file.read(size), name).reshape(shape)
