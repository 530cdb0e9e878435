"""Images: each case writes one, `path`, whose label is good and whose name ends in .jpg."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
from hostile.case import accepted, row
from PIL import Image

WIDTH, HEIGHT = 64, 48
PIXELS = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def save(path: Path, kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    Image.fromarray(PIXELS).convert(mode).save(path, kind, **options)
    return path.read_bytes()


def png(size_wh: tuple[int, int], kind: int, rows: bytes) -> bytes:
    """A PNG with any header. kind: 0 grey, 2 RGB; rows: the packed pixels, compressed."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", *size_wh, 1 if kind == 0 else 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


# --- read


@accepted
def png_called_jpg(path: Path) -> None:
    save(path, "PNG")


@accepted
def tiff_called_jpg(path: Path) -> None:
    save(path, "TIFF")


@accepted
def webp_called_jpg(path: Path) -> None:
    save(path, "WEBP")


@accepted
def cmyk_jpeg(path: Path) -> None:
    save(path, mode="CMYK")


@accepted
def grey_jpeg(path: Path) -> None:
    save(path, mode="L")


@accepted
def palette_png(path: Path) -> None:
    save(path, "PNG", "P")


@accepted
def alpha_png(path: Path) -> None:
    save(path, "PNG", "RGBA")


@accepted
def one_bit_png(path: Path) -> None:
    save(path, "PNG", "1")


@accepted
def sixteen_bit_grey_png(path: Path) -> None:
    Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(path, "PNG")


@accepted
def rotated_by_exif(path: Path) -> None:
    """Labels refer to the pixels as stored."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(path, exif=exif)


@accepted
def animated_png(path: Path) -> None:
    """The first frame."""
    save(path, "PNG", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))] * 3)


@accepted
def animated_webp(path: Path) -> None:
    save(path, "WEBP", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))] * 3)


@accepted
def megabytes_behind_the_end(path: Path) -> None:
    path.write_bytes(save(path) + bytes(5_000_000))


@accepted
def damaged_exif(path: Path) -> None:
    content = save(path)
    path.write_bytes(
        content[:2] + b"\xff\xe1\x00\x10Exif\0\0MM\xff\xff\xff\xff\xff\xff" + content[2:]
    )


# --- one row of the report


@row("cut off")
def cut_in_half(path: Path) -> None:
    path.write_bytes(save(path)[:1500])


@row("no image")
def zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


@row("no image")
def text_called_jpg(path: Path) -> None:
    path.write_text("<html>404</html>")


@row("no image")
def svg_called_jpg(path: Path) -> None:
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="64" height="48"/>')


@row("no image")
def postscript_called_jpg(path: Path) -> None:
    """PIL would start ghostscript."""
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(touched) (w) file\n")


@accepted
def animated_gif(path: Path) -> None:
    """Its first frame."""
    save(path, "GIF", "P", save_all=True, append_images=[Image.new("P", (WIDTH, HEIGHT))] * 3)


@row("cut off")
def webp_cut_in_half(path: Path) -> None:
    path.write_bytes(save(path, "WEBP", quality=90)[:1000])


@row("floating-point pixels")
def float_tiff(path: Path) -> None:
    Image.fromarray(PIXELS[..., 0].astype(np.float32)).save(path, "TIFF")


@row("not in or near the 1 x 1 image")
def one_pixel(path: Path) -> None:
    Image.new("RGB", (1, 1)).save(path)


@row("damaged")
def png_without_width(path: Path) -> None:
    path.write_bytes(png((0, HEIGHT), 2, zlib.compress(b"")))


@row("too large: Image size (900000000 pixels) exceeds limit", heavy=True)
def png_of_30000_by_30000(path: Path) -> None:
    """A whole image: 110 kB of zeros that unpack to 2.7 GB of RGB."""
    packed = zlib.compressobj()
    rows = b"".join(packed.compress(bytes(3751)) for _ in range(30_000)) + packed.flush()
    path.write_bytes(png((30_000, 30_000), 0, rows))


@row("too large: 30000 x 30000 exceeds limit of 80000000 pixels", heavy=True)
def jpeg_of_30000_by_30000(path: Path) -> None:
    content = bytearray(save(path))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", 30_000, 30_000)
    path.write_bytes(content)


@row("too large", heavy=True)
def png_of_two_billion_by_two_billion(path: Path) -> None:
    path.write_bytes(png((2**31 - 1, 2**31 - 1), 2, zlib.compress(b"")))


@row("too large: Image size (268402689 pixels) exceeds limit", heavy=True)
def webp_of_16383_by_16383(path: Path) -> None:
    bits = (16_382 | 16_382 << 14).to_bytes(4, "little")
    body = b"VP8L" + struct.pack("<I", 6) + b"\x2f" + bits + b"\0"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body)


@row("damaged", heavy=True)
def png_with_a_text_of_100_megabytes(path: Path) -> None:
    packed = zlib.compressobj()
    text = b"".join(packed.compress(bytes(1 << 20)) for _ in range(100)) + packed.flush()
    data = b"Comment\0\0" + text
    chunk = (
        struct.pack(">I", len(data))
        + b"zTXt"
        + data
        + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    )
    content = save(path, "PNG")
    path.write_bytes(content[:33] + chunk + content[33:])


@row("too large: 1099511627776 bytes, expected at most", heavy=True)
def jpeg_with_a_terabyte_behind_it(path: Path) -> None:
    """Of holes: decoded within milliseconds, but not to be read to its end."""
    path.write_bytes(save(path))
    os.truncate(path, 1 << 40)


@row("not a regular file", heavy=True)
def a_pipe_that_nobody_writes_to(path: Path) -> None:
    os.mkfifo(path)


@row("not a regular file", heavy=True)
def an_endless_device(path: Path) -> None:
    path.symlink_to("/dev/zero")
