"""A second implementation of the protocol, driven by the message schemas in Kafka's client jar.

It reads the JSON files that the jar carries, so it knows each request and response in every version, and
shares nothing with our generated codecs. It is strict: every byte of a message must be read, encoding what
was decoded must give the same bytes, and no length is believed beyond the bytes that are there.

A message is a dictionary by the schema's field names. A tagged field that was not on the wire is absent
after decoding; a field that a request leaves out takes the schema's default. Byte strings are hexadecimal
text with the prefix `0x`, UUIDs are hexadecimal text.
"""

import json
import re
import struct
import zipfile
from functools import cache

from harness import install

INTEGERS = {
    "int8": ">b",
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "float64": ">d",
}
NO_UUID = "0" * 32


class WireError(Exception):
    """Bytes that are not the message that they ought to be."""


class Versions:
    """A range as the schemas write it: "3", "3-5", "3+", "none"."""

    def __init__(self, text):
        text = text or "none"
        if text == "none":
            self.low, self.high = 1, 0
        elif text.endswith("+"):
            self.low, self.high = int(text[:-1]), 1 << 15
        else:
            low, _, high = text.partition("-")
            self.low, self.high = int(low), int(high or low)

    def __contains__(self, version):
        return self.low <= version <= self.high


class Field:
    """A field of a message or of a structure in it."""

    def __init__(self, json_, structs):
        self.name = json_["name"]
        self.type = json_["type"]
        self.versions = Versions(json_.get("versions"))
        self.nullable = Versions(json_.get("nullableVersions"))
        self.tagged = Versions(json_.get("taggedVersions"))
        self.tag = json_.get("tag")
        # the header's client id keeps the old length in flexible versions
        self.inflexible = json_.get("flexibleVersions") == "none"
        self.default_text = json_.get("default")
        self.element = self.type.removeprefix("[]")
        self.is_array = self.type.startswith("[]")
        if "fields" in json_:
            structs[self.element] = [Field(f, structs) for f in json_["fields"]]
        self.structs = structs

    def default(self, version):
        text = self.default_text
        if text == "null":
            return None
        if self.is_array:
            return []
        if self.type in INTEGERS:
            return (float if self.type == "float64" else lambda t: int(str(t), 0))(text or 0)
        if self.type == "bool":
            return str(text).lower() == "true"
        if self.type == "string":
            return text or ""
        if self.type == "uuid":
            return NO_UUID
        if self.type in ("bytes", "records"):
            return None if version in self.nullable else "0x"
        return {}


class Reader:
    """Bytes that are read from their start to their end."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise WireError(f"{count} bytes wanted at {self.at}, {len(self.data) - self.at} are there")
        self.at += count
        return self.data[self.at - count : self.at]

    def unpack(self, format_):
        return struct.unpack(format_, self.take(struct.calcsize(format_)))[0]

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 28:
                raise WireError("a varint of more than five bytes")

    def end(self):
        if self.at != len(self.data):
            raise WireError(
                f"{len(self.data) - self.at} bytes after the message's end: {self.data[self.at :][:32].hex()}"
            )


def uvarint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Schema:
    """One message: a request, a response or a header."""

    def __init__(self, json_):
        self.name = json_["name"]
        self.key = json_.get("apiKey")
        self.valid = Versions(json_.get("validVersions"))
        # a version that Kafka serves only when asked to by a hidden setting
        self.newest = self.valid.high - (1 if json_.get("latestVersionUnstable") else 0)
        self.flexible = Versions(json_.get("flexibleVersions"))
        structs = {}
        for common in json_.get("commonStructs", []):
            structs[common["name"]] = [Field(f, structs) for f in common["fields"]]
        self.fields = [Field(f, structs) for f in json_.get("fields", [])]

    def versions(self):
        return range(self.valid.low, self.newest + 1)

    # -- decoding

    def decode(self, data, version):
        """A whole message; raises if a byte is left or if it would be encoded otherwise."""
        reader = Reader(data)
        message = self.read(reader, version)
        reader.end()
        again = self.encode(message, version)
        if again != data:
            raise WireError(
                f"{self.name} v{version}: not encoded as it should be: {data.hex()} instead of {again.hex()}"
            )
        return message

    def read(self, reader, version):
        return self.read_struct(reader, self.fields, version, version in self.flexible)

    def read_struct(self, reader, fields, version, flexible):
        out = {}
        for field in fields:
            if version in field.versions and version not in field.tagged:
                out[field.name] = self.read_field(reader, field, version, flexible and not field.inflexible)
        if flexible:
            self.read_tags(reader, fields, version, out)
        return out

    def read_tags(self, reader, fields, version, out):
        last = -1
        known = {f.tag: f for f in fields if version in f.tagged}
        for _ in range(reader.uvarint()):
            tag, size = reader.uvarint(), reader.uvarint()
            if tag <= last:
                raise WireError(f"tag {tag} after tag {last}")
            last = tag
            inner = Reader(reader.take(size))
            if tag in known:
                out[known[tag].name] = self.read_field(inner, known[tag], version, True)
                inner.end()
            else:
                out[f"tag {tag}"] = "0x" + inner.data.hex()

    def read_field(self, reader, field, version, flexible):
        if not field.is_array:
            return self.read_value(reader, field, field.type, version, flexible)
        count = reader.uvarint() - 1 if flexible else reader.unpack(">i")
        if count < 0:
            self.check_null(field, version)
            return None
        return [self.read_value(reader, field, field.element, version, flexible) for _ in range(count)]

    def read_value(self, reader, field, type_, version, flexible):
        if type_ in INTEGERS:
            return reader.unpack(INTEGERS[type_])
        if type_ == "bool":
            return reader.unpack(">b") != 0
        if type_ == "uuid":
            return reader.take(16).hex()
        if type_ in ("string", "bytes", "records"):
            if flexible:
                size = reader.uvarint() - 1
            else:
                size = reader.unpack(">h" if type_ == "string" else ">i")
            if size < 0:
                self.check_null(field, version)
                return None
            data = reader.take(size)
            return data.decode() if type_ == "string" else "0x" + data.hex()
        if version in field.nullable and not field.is_array and reader.unpack(">b") < 0:
            return None
        return self.read_struct(reader, field.structs[type_], version, flexible)

    def check_null(self, field, version):
        if version not in field.nullable and field.type != "records":
            raise WireError(f"{self.name} v{version}: {field.name} is null")

    # -- encoding

    def encode(self, message, version):
        return self.write_struct(message, self.fields, version, version in self.flexible)

    def write_struct(self, message, fields, version, flexible):
        out = bytearray()
        for field in fields:
            if version in field.versions and version not in field.tagged:
                value = message[field.name] if field.name in message else field.default(version)
                out += self.write_field(value, field, version, flexible and not field.inflexible)
        if flexible:
            tags = {
                f.tag: self.write_field(message[f.name], f, version, True)
                for f in fields
                if version in f.tagged and f.name in message
            }
            tags |= {
                int(name[4:]): bytes.fromhex(data[2:])
                for name, data in message.items()
                if name.startswith("tag ")
            }
            out += uvarint(len(tags))
            for tag in sorted(tags):
                out += uvarint(tag) + uvarint(len(tags[tag])) + tags[tag]
        return bytes(out)

    def write_field(self, value, field, version, flexible):
        if not field.is_array:
            return self.write_value(value, field, field.type, version, flexible)
        if value is None:
            return b"\0" if flexible else b"\xff\xff\xff\xff"
        head = uvarint(len(value) + 1) if flexible else struct.pack(">i", len(value))
        return head + b"".join(self.write_value(v, field, field.element, version, flexible) for v in value)

    def write_value(self, value, field, type_, version, flexible):
        if type_ in INTEGERS:
            return struct.pack(INTEGERS[type_], value)
        if type_ == "bool":
            return b"\1" if value else b"\0"
        if type_ == "uuid":
            return bytes.fromhex(value)
        if type_ in ("string", "bytes", "records"):
            if value is None:
                return b"\0" if flexible else (b"\xff\xff" if type_ == "string" else b"\xff\xff\xff\xff")
            data = value.encode() if type_ == "string" else bytes.fromhex(value[2:])
            if flexible:
                return uvarint(len(data) + 1) + data
            return struct.pack(">h" if type_ == "string" else ">i", len(data)) + data
        if version in field.nullable and not field.is_array:
            if value is None:
                return b"\xff"
            return b"\1" + self.write_struct(value, field.structs[type_], version, flexible)
        return self.write_struct(value, field.structs[type_], version, flexible)


@cache
def schemas():
    """Every request, response and header that the jar has, by name."""
    (jar,) = install.kafka().glob("kafka-clients-*.jar")
    found = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"common/message/\w+\.json", name):
                lines = archive.read(name).decode().splitlines()
                text = "\n".join(line for line in lines if not line.lstrip().startswith("//"))
                schema = Schema(json.loads(text))
                found[schema.name] = schema
    return found


def request(api):
    return schemas()[f"{api}Request"]


def response(api):
    return schemas()[f"{api}Response"]
