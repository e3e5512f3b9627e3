"""URIs, handles and `did:web`s: what they mean, or that they mean nothing.

Read by regular expressions and the standard library, which is nothing like the crate's parser.
"""

import ipaddress
import re
from urllib.parse import quote, unquote_to_bytes

PCHAR = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
URI = re.compile(
    rf"(?i:aire)://(?:([^@/]*)@)?(\[[^]@/]*\]|[^]\[:@/]*)(?::([0-9]*))?((?:/{PCHAR}*)*)"
)
HANDLE = re.compile(r"@?([A-Za-z0-9_.-]{1,253})@([^@]*)")
DID_WEB = re.compile(r"did:web:([A-Za-z0-9._-]+)(?:%3[Aa]([1-9][0-9]{0,4}))?((?::[A-Za-z0-9._%-]+)*)")
# Decoded, they change what a path means.
HARMFUL = re.compile("[\x00-\x1f\x7f-\x9f/\\\\?#%;]")


class Refused(Exception):
    pass


def need(condition):
    if not condition:
        raise Refused


def match(pattern, text):
    found = pattern.fullmatch(text)
    need(found)
    return found.groups()


def name_of(text):
    """A DNS name in lower case."""
    need(len(text) <= 253 and re.fullmatch(rf"{LABEL}(?:\.{LABEL})*", text))
    need(not re.fullmatch(r"[0-9]+|0[xX][0-9A-Fa-f]*", text.rsplit(".", 1)[-1]))
    return text.lower()


def host_of(text):
    """A host in its normal form, and whether it is a name."""
    try:
        if text.startswith("["):
            need("%" not in text)
            address = ipaddress.IPv6Address(text[1:-1])
            mapped = address.ipv4_mapped
            return (f"[::ffff:{mapped}]" if mapped else f"[{address.compressed}]"), False
        return str(ipaddress.IPv4Address(text)), False
    except ipaddress.AddressValueError:
        need(not text.startswith("["))
        return name_of(text), True


def decode(segment):
    try:
        return unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise Refused from None


def path_of(text):
    """The names in a path, by RFC 3986 §5.2.4."""
    out = []
    parts = [decode(part) for part in text.split("/")[1:]]
    for at, part in enumerate(parts):
        if part == ".." and out:
            out.pop()
        if part in (".", ".."):
            out += [""] if at == len(parts) - 1 else []
        else:
            out.append(part)
    if out and out[-1] == "":
        out.pop()
    need(len(out) <= 2 and "" not in out)
    return out


def read_uri(text):
    need(len(text.encode()) <= 4096)
    userinfo, host, port, path = match(URI, text)
    host, is_name = host_of(host)
    port = int(port) if port else 4433
    need(0 < port < 65536)
    if userinfo is not None:
        need(is_name and re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", userinfo))
    names = path_of(path)
    normal = "aire://" + (f"{userinfo}@" if userinfo else "") + host
    normal += f":{port}" if port != 4433 else ""
    normal += "".join("/" + quote(name, safe="-._~!$&'()*+,;=:@") for name in names)
    parts = {"normal": normal, "host": host, "port": port}
    if userinfo is not None:
        parts["userinfo"] = userinfo
    parts.update(zip(("agent", "operation"), names))
    return parts


def read_handle(text):
    localpart, domain = match(HANDLE, text)
    domain = name_of(domain)
    txt = f"_aire.{localpart}.{domain}"
    parts = {
        "shown": f"@{localpart}@{domain}",
        "https_url": f"https://{domain}/.well-known/aire-did?name={localpart}",
        "also_known_as": f"aire://{localpart}@{domain}",
    }
    if len(txt) <= 253 and re.fullmatch(rf"{LABEL}(?:\.{LABEL})*", txt):
        parts["txt_name"] = txt
    return parts


def read_did_web(text):
    need(len(text) <= 256)
    host, port, path = match(DID_WEB, text)
    port = int(port or 443)
    need(port < 65536)
    server = name_of(host) + (f":{port}" if port != 443 else "")
    segments = path.split(":")[1:]
    for segment in segments:
        need(re.fullmatch(rf"{PCHAR}+", segment))
        plain = decode(segment)
        need(plain not in (".", "..") and not HARMFUL.search(plain))
    where = "/".join(segments) if segments else ".well-known"
    return {"url": f"https://{server}/{where}/did.json"}


def vector(kind, read, name, requirements, text, good, note):
    record = {"id": name, "kind": kind, "requirements": requirements}
    if note:
        record["note"] = note
    record["text"] = text
    try:
        record["parts"] = read(text)
        assert good, (name, record)
    except Refused:
        assert not good, name
    return record


def uri(name, requirement, text, note=None, good=True):
    return vector("uri", read_uri, f"uri-{name}", [requirement], text, good, note)


def handle(name, text, note=None, good=True, more=()):
    return vector("handle", read_handle, f"handle-{name}", ["DISC-3", *more], text, good, note)


def did_web(name, text, note=None, good=True):
    return vector("did-web", read_did_web, f"did-web-{name}", ["ID-3"], text, good, note)


LOOKUPS = ("DISC-4", "DISC-5", "DISC-7")


def uris():
    for name, requirement, text, note in (
        ("host", "URI-2", "aire://agents.example.com", None),
        ("agent", "URI-1", "aire://agents.example.com:4433/summarizer", None),
        ("operation", "URI-1", "aire://agents.example.com:9000/summarizer/run", None),
        ("empty-port", "URI-2", "aire://a.example:", None),
        ("port-zeros", "URI-2", "aire://a.example:0000000080", None),
        ("port-most", "URI-1", "aire://a.example:65535", None),
        ("ipv4", "URI-1", "aire://192.0.2.1:5/a", None),
        ("ipv6", "URI-1", "aire://[2001:DB8:0:0::1]:5/a", None),
        ("ipv6-mapped", "URI-1", "aire://[::FFFF:c000:201]", None),
        ("underscore", "URI-1", "aire://my_agent/a", "names within a site may have one"),
        ("number-in-front", "URI-1", "aire://127.0.0.1.example", None),
        ("case", "URI-4", "AIRE://Agents.Example.COM/Agent/Run", "agent and operation keep theirs"),
        ("unreserved", "URI-4", "aire://a.example/%61%2D%2e%5f%7E", None),
        ("reserved", "URI-3", "aire://a.example/a%2Fb/%3f%23%25", None),
        ("sub-delims", "URI-4", "aire://a.example/a%21%3a%40!:@", "no meaning of their own here"),
        ("utf8", "URI-3", "aire://a.example/%c3%a9t%C3%A9/%F0%9F%A6%80", None),
        ("not-composed", "URI-3", "aire://a.example/e%CC%81", "nothing is composed"),
        ("space-and-nul", "URI-3", "aire://a.example/my%20agent/%00", None),
        ("slash-at-the-end", "URI-4", "aire://a.example/", None),
        ("slash-behind-agent", "URI-4", "aire://a.example/a/", None),
        ("slash-behind-operation", "URI-4", "aire://a.example/a/b/", None),
        ("dot-segments", "URI-4", "aire://a.example/../a/./x/../b", None),
        ("dot-segments-encoded", "URI-4", "aire://a.example/a/x/%2e%2E/%2e/b", None),
        ("dots-at-the-end", "URI-4", "aire://a.example/a/b/c/d/../..", None),
        ("three-dots", "URI-4", "aire://a.example/.../..a", None),
        ("handle", "URI-5", "aire://alice@Example.com", None),
        ("handle-and-agent", "URI-5", "aire://Alice_1.b-c@example.com:1/a", None),
    ):
        yield uri(name, requirement, text, note)
    for name, requirement, text, note in (
        ("empty", "URI-1", "", None),
        ("no-slashes", "URI-1", "aire:a.example", None),
        ("other-scheme", "URI-1", "aires://a.example", None),
        ("space-in-front", "URI-1", " aire://a.example", None),
        ("no-host", "URI-1", "aire:///a", None),
        ("port-alone", "URI-1", "aire://:4433", None),
        ("port-zero", "URI-1", "aire://a.example:0", None),
        ("port-over", "URI-1", "aire://a.example:65536", None),
        ("port-sign", "URI-1", "aire://a.example:+5", None),
        ("port-twice", "URI-1", "aire://a.example:5:5", None),
        ("ipv6-bare", "URI-1", "aire://2001:db8::1", None),
        ("ipv6-open", "URI-1", "aire://[::1", None),
        ("ipv6-zone", "URI-1", "aire://[fe80::1%25eth0]", None),
        ("ipv6-behind", "URI-1", "aire://[::1]a", None),
        ("ipv-future", "URI-1", "aire://[v1.a]", None),
        ("host-encoded", "URI-1", "aire://ex%61mple.com", None),
        ("host-not-ascii", "URI-1", "aire://bücher.example", None),
        ("host-space", "URI-1", "aire://a b", None),
        ("host-backslash", "URI-1", "aire://a.example\\@b.example", None),
        ("host-dot-at-the-end", "URI-1", "aire://a.example.", None),
        ("host-empty-label", "URI-1", "aire://a..example", None),
        ("host-hyphen", "URI-1", "aire://-a.example", None),
        ("host-label-long", "URI-1", f"aire://{'a' * 64}.example", None),
        ("host-long", "URI-1", f"aire://{'a.' * 126}ab", "254 bytes"),
        ("host-short-ipv4", "URI-1", "aire://127.1", "some resolvers take it for 127.0.0.1"),
        ("host-number", "URI-1", "aire://2130706433", "some resolvers take it for 127.0.0.1"),
        ("host-octal", "URI-1", "aire://0177.0.0.1", "some resolvers take it for 127.0.0.1"),
        ("host-hex", "URI-1", "aire://0x7f.0.0.0x1", "some resolvers take it for 127.0.0.1"),
        ("host-ipv4-over", "URI-1", "aire://256.0.0.1", None),
        ("query", "URI-1", "aire://a.example/a?b", None),
        ("fragment", "URI-1", "aire://a.example#b", None),
        ("path-space", "URI-3", "aire://a.example/a b", None),
        ("path-not-ascii", "URI-3", "aire://a.example/é", None),
        ("path-line-feed", "URI-3", "aire://a.example/a\n", None),
        ("path-cut-triplet", "URI-3", "aire://a.example/%4", None),
        ("path-no-digits", "URI-3", "aire://a.example/%+f", None),
        ("path-not-utf8", "URI-3", "aire://a.example/%ff", None),
        ("path-surrogate", "URI-3", "aire://a.example/%ED%A0%80", None),
        ("path-overlong", "URI-3", "aire://a.example/%C0%80", None),
        ("no-agent", "URI-1", "aire://a.example//run", None),
        ("no-operation", "URI-1", "aire://a.example/a//", None),
        ("three-segments", "URI-1", "aire://a.example/a/b/c", None),
        ("userinfo-empty", "URI-5", "aire://@a.example", None),
        ("userinfo-password", "URI-5", "aire://a:b@a.example", None),
        ("userinfo-encoded", "URI-5", "aire://%61@a.example", None),
        ("userinfo-twice", "URI-5", "aire://a@b@c.example", None),
        ("userinfo-address", "URI-5", "aire://a@192.0.2.1", "the domain of a handle is a name"),
    ):
        yield uri(f"bad-{name}", requirement, text, note, good=False)


def handles():
    for name, text, note in (
        ("typed", "@alice@example.com", None),
        ("no-at", "alice@example.com", None),
        ("case", "@Alice@Example.COM", "the localpart keeps its own"),
        ("every-character", "@aZ09_-.b@x", None),
        ("dots", "@a.b.c@example.com", None),
        ("no-dns-dots", "@a..b@example.com", "no DNS name, so HTTPS alone"),
        ("no-dns-hyphen", "@-a@example.com", "no DNS name, so HTTPS alone"),
        ("no-dns-label", f"@{'a' * 64}@example.com", "no DNS name, so HTTPS alone"),
        ("dns-long", f"@{'a.' * 122}ab@b", None),
        ("no-dns-long", f"@{'a.' * 122}abcd@b", "no DNS name, so HTTPS alone"),
    ):
        yield handle(name, text, note, more=LOOKUPS)
    for name, text in (
        ("empty", ""), ("two-ats", "@@alice@example.com"), ("no-localpart", "@@example.com"),
        ("no-domain", "@alice@"), ("alone", "alice"), ("not-ascii", "@élan@example.com"),
        ("encoded", "@%61@example.com"), ("query", "@a&name=b@example.com"),
        ("slash", "@../a@example.com"), ("port", "@a@example.com:443"),
        ("path", "@a@example.com/b"), ("address", "@a@192.0.2.1"), ("space", "@a@example.com "),
    ):
        yield handle(f"bad-{name}", text, good=False)


def did_webs():
    for name, text, note in (
        ("host", "did:web:example.com", None),
        ("case", "did:web:Example.COM:Alice", None),
        ("port", "did:web:localhost%3A8443", None),
        ("port-lower", "did:web:localhost%3a8443:a", None),
        ("port-default", "did:web:example.com%3A443", None),
        ("path", "did:web:example.com:agents:alice", None),
        ("path-encoded", "did:web:example.com:a%20b:%c3%a9:c%3Ad", "stays as it is written"),
    ):
        yield did_web(name, text, note)
    for name, text in (
        ("other-method", "did:key:z6Mk"), ("empty", "did:web:"), ("no-host", "did:web::a"),
        ("colon-at-the-end", "did:web:example.com:"), ("fragment", "did:web:example.com#key"),
        ("slash", "did:web:example.com/a"), ("userinfo", "did:web:a%40example.com"),
        ("host-slash", "did:web:example.com%2Fa"), ("host-query", "did:web:example.com%3Fa"),
        ("host-encoded", "did:web:ex%61mple.com"), ("ipv4", "did:web:127.0.0.1%3A8443"),
        ("number", "did:web:2130706433"), ("port-empty", "did:web:example.com%3A"),
        ("port-zero", "did:web:example.com%3A0"), ("port-over", "did:web:example.com%3A65536"),
        ("port-text", "did:web:example.com%3Aa"), ("port-userinfo", "did:web:a%3A1%40b.example"),
        ("empty-segment", "did:web:example.com::a"), ("dot", "did:web:example.com:."),
        ("dots", "did:web:example.com:..:a"), ("dots-encoded", "did:web:example.com:%2e%2E"),
        ("dots-twice-encoded", "did:web:example.com:%252e%252e"),
        ("segment-slash", "did:web:example.com:a%2Fb"),
        ("segment-backslash", "did:web:example.com:a%5Cb"),
        ("segment-query", "did:web:example.com:a%3Fb"),
        ("segment-fragment", "did:web:example.com:a%23b"),
        ("segment-parameter", "did:web:example.com:..%3Ba"),
        ("segment-line", "did:web:example.com:a%0D%0Ab"), ("segment-nul", "did:web:example.com:%00"),
        ("segment-not-utf8", "did:web:example.com:%FF"),
        ("long", f"did:web:example.com:{'a' * 237}"),
    ):
        yield did_web(f"bad-{name}", text, good=False)
