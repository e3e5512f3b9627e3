//! Packets on the wire: headers, packet numbers, protection (RFC 9000 §17, RFC 9001 §5).
