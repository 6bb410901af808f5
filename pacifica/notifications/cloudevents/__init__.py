"""CloudEvents on the wire: versions, content modes, media types, values of headers."""
