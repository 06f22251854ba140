"""The first bits of coded pictures: what a packet shows, told without decoding it. A file per codec."""
