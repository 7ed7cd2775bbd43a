#!/usr/bin/env python3
"""Writes the seeds of fuzz/corpus/{gguf,safetensors,json,recipe}: small valid inputs and hostile ones.

    python3 fuzz/seed_formats.py
"""
import json
import struct
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def put(what, name, data):
    (CORPUS / what).mkdir(parents=True, exist_ok=True)
    (CORPUS / what / name).write_bytes(data)


# ---- GGUF ----

U8, I8, U16, I16, U32, I32, F32, BOOL, STR, ARR, U64, I64, F64 = range(13)


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<Q", len(s)) + s


def kv(key, kind, raw):
    return text(key) + struct.pack("<I", kind) + raw


def array(kind, n, raw):
    return struct.pack("<IQ", kind, n) + raw


def tensor(name, ne, kind, offset):
    return text(name) + struct.pack("<I", len(ne)) + struct.pack(f"<{len(ne)}Q", *ne) + struct.pack("<IQ", kind, offset)


def gguf(kvs=(), tensors=(), data=b"", version=3, n_tensors=None, n_kv=None, alignment=32):
    n_tensors = len(tensors) if n_tensors is None else n_tensors
    n_kv = len(kvs) if n_kv is None else n_kv
    head = b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_kv) + b"".join(kvs) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data


ALL_KINDS = [
    kv("general.architecture", STR, text("llama")), kv("u8", U8, b"\xff"), kv("i8", I8, b"\xff"),
    kv("u16", U16, b"\x01\x02"), kv("i16", I16, b"\xff\xff"), kv("u32", U32, struct.pack("<I", 7)),
    kv("i32", I32, struct.pack("<i", -7)), kv("f32", F32, struct.pack("<f", 1e-5)), kv("bool", BOOL, b"\x01"),
    kv("u64", U64, b"\xff" * 8), kv("i64", I64, struct.pack("<q", -1)), kv("f64", F64, struct.pack("<d", 0.5)),
    kv("tokens", ARR, array(STR, 3, text("a") + text("") + text(b"\xff"))),
    kv("types", ARR, array(I32, 2, struct.pack("<ii", 1, 3))), kv("none", ARR, array(F32, 0, b"")),
]
TYPES = [(0, 1, 4), (1, 1, 2), (2, 32, 18), (3, 32, 20), (6, 32, 22), (7, 32, 24), (8, 32, 34), (10, 256, 84),
         (11, 256, 110), (12, 256, 144), (13, 256, 176), (14, 256, 210), (20, 32, 18), (23, 256, 136), (24, 1, 1),
         (28, 1, 8), (30, 1, 2)]


def one_of_each():
    infos, data = [], b""
    for kind, block, size in TYPES:
        infos.append(tensor(f"t{kind}", [block, 1], kind, len(data)))
        data += bytes((37 * i + kind) % 251 for i in range(size))
        data += bytes(-len(data) % 32)
    return gguf(tensors=infos, data=data)


F4 = struct.pack("<4f", 1, 2, 3, 4)
small = gguf(ALL_KINDS, [tensor("a", [4], 0, 0), tensor("b", [2, 2], 0, 32)], F4 + bytes(16) + F4)
align = kv("general.alignment", U32, struct.pack("<I", 64))
for name, data in {
    "valid_small": small,
    "valid_types": one_of_each(),
    "valid_align64": gguf([align], [tensor("a", [4], 0, 0)], F4, alignment=64),
    "valid_v2_no_tensors": gguf(ALL_KINDS[:2], version=2),
    "valid_zero_dim": gguf(tensors=[tensor("a", [0], 0, 0), tensor("b", [4], 0, 0)], data=F4),
    "empty": b"",
    "magic_only": b"GGUF",
    "truncated": small[: len(small) * 2 // 3],
    "truncated_data": small[:-9],
    "version_1": gguf(version=1),
    "big_endian": gguf(version=0x03000000),
    "huge_counts": gguf(n_tensors=2**61, n_kv=2**62),
    "huge_array": gguf([kv("x", ARR, array(F64, 2**61 + 2, bytes(32)))]),
    "huge_string": gguf([kv("x", STR, struct.pack("<Q", 2**64 - 8))]),
    "nested_array": gguf([kv("x", ARR, array(ARR, 1, array(U8, 1, b"\0")))]),
    "bad_bool": gguf([kv("x", BOOL, b"\x02")]),
    "twin_keys": gguf([ALL_KINDS[1], ALL_KINDS[1]]),
    "bad_utf8_key": gguf([kv(b"\xc0\xaf", U8, b"\0")]),
    "alignment_0": gguf([kv("general.alignment", U32, bytes(4))]),
    "alignment_2g": gguf([kv("general.alignment", U32, struct.pack("<I", 2**31))], [tensor("a", [4], 0, 0)], F4),
    "hole": gguf(tensors=[tensor("a", [4], 0, 0), tensor("b", [4], 0, 64)], data=bytes(128)),
    "overlap": gguf(tensors=[tensor("a", [4], 0, 0), tensor("b", [4], 0, 0)], data=bytes(128)),
    "twin_tensors": gguf(tensors=[tensor("a", [4], 0, 0), tensor("a", [4], 0, 32)], data=bytes(64)),
    "dims_overflow": gguf(tensors=[tensor("a", [2**33, 2**33, 2], 0, 0)], data=bytes(64)),
    "dims_wrap_zero": gguf(tensors=[tensor("a", [2**62], 0, 0)], data=bytes(64)),
    "rank_9": gguf(tensors=[tensor("a", [1] * 9, 0, 0)], data=bytes(64)),
    "type_39": gguf(tensors=[tensor("a", [32], 39, 0)], data=bytes(64)),
    "half_block": gguf(tensors=[tensor("a", [16, 2], 8, 0)], data=bytes(64)),
}.items():
    put("gguf", name, data)

# ---- safetensors ----


def st(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


valid = {"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 2], 0, 16), "s": entry("I64", [], 16, 24),
         "e": entry("F16", [0, 3], 24, 24), "h": entry("BF16", [1, 2, 1, 2], 24, 32)}
small = st(valid, bytes(range(32)))
twin = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
for name, data in {
    "valid_small": small,
    "valid_empty": st({}),
    "valid_padded": st(b" {} \n  "),
    "valid_foreign": st({"f": entry("F8_E5M2", [3], 0, 3), "d": entry("U8", [1, 1, 1, 1, 1], 3, 4)}, b"abcd"),
    "truncated": small[:-5],
    "truncated_header": small[:40],
    "short": b"\x02\0\0",
    "huge_length": st(b"{}", length=2**64 - 9),
    "hole": st({"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, b"abc"),
    "overlap": st({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, b"abc"),
    "trailing": st({"a": entry("U8", [1], 0, 1)}, b"abc"),
    "backwards": st({"a": entry("U8", [1], 1, 0)}, b"a"),
    "shape_overflow": st({"a": entry("F64", [2**31, 2**31, 2**31], 0, 0)}),
    "bits_overflow": st({"a": entry("F64", [2**61], 0, 0)}),
    "half_bytes": st({"a": entry("F4", [3], 0, 1)}, b"a"),
    "negative": st({"a": entry("U8", [-1], 0, 1)}, b"a"),
    "extra_member": st({"a": dict(entry("U8", [1], 0, 1), x=1)}, b"a"),
    "unknown_dtype": st({"a": entry("Q8", [1], 0, 1)}, b"a"),
    "metadata_number": st({"__metadata__": {"a": 1}}),
    "twin": st(twin, b"a"),
    "bad_utf8": st(b'{"\xff":1}'),
    "deep": st(b"[" * 3000),
}.items():
    put("safetensors", name, data)

# ---- JSON ----

for name, data in {
    "valid": b'{"a":[1,-2.5,1e300,"t\\u00e9\\ud83d\\ude00",null,true,{}],"b":{"c":[]}}',
    "valid_scalar": b" -0.0 ",
    "valid_nul": b'"a\\u0000b"',
    "valid_escapes": b'"\\"\\\\\\/\\b\\f\\n\\r\\t \xc2\x85 \xe2\x80\xa8"',
    "empty": b"",
    "truncated": b'{"a":[1,2,{"b":"c',
    "twin_keys": b'{"a":1,"a":2}',
    "trailing": b"{} {}",
    "bad_utf8": b'"\xed\xa0\x80"',
    "lone_surrogate": b'"\\ud800"',
    "huge_number": b"[1e400,123456789012345678901234567890]",
    "nul_key": b'{"a\\u0000":1}',
    "deep": b"[" * 4000,
    "nan": b"[NaN,Infinity]",
}.items():
    put("json", name, data)

# ---- recipes ----

least = b"teacher: {model: t.gguf}\n"
for name, data in {
    "valid": b"name: x\nbudget: 8m\n" + least + b"text: [a, 'b c', \"d\\n\"]\ntrain:\n  loss: ce\n  batch_tokens: 2k\n"
             b"  lr: 6e-4\n  resume: false\nexport:\n  - type: f32\n  - {type: q8_0, name: y}\naudit: {tasks: h}\n",
    "valid_least": least,
    "valid_set": least + b"\0train.lr=1e-3",
    "valid_set_list": least + b"export: [{type: f32}]\n\0export.0.name=[x]",
    "valid_block_text": least + b"name: |\n  two\n  lines\n",
    "empty": b"",
    "unknown_key": least + b"budgte: 8m\n",
    "wrong_type": least + b"train: [1]\n",
    "twin_keys": least + least,
    "alias_bomb": b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
    "tag": least + b"name: !!python/object:os.system x\n",
    "documents": least + b"---\n" + least,
    "merge": least + b"<<: {name: x}\n",
    "list_key": b"[a]: b\n",
    "deep": b"teacher: " + b"[" * 200,
    "bad_utf8": b"name: \xff\xfe\n",
    "unclosed": b'name: "x\n',
    "tab": b"teacher:\n\tmodel: x\n",
    "set_bad": least + b"\0teacher.model.x.y=1",
}.items():
    put("recipe", name, data)
