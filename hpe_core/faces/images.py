"""Images from disk. They are checked before they are decoded, and decoded whole or not at all.

OpenCV returns a half-grey image for a JPEG cut in half and decodes a 49 kB PNG to 2.3 GB. PIL
raises for the first, and knows the size of the second from its header.

What users bring is upright: an EXIF orientation is applied. Images of the published corpora are as
stored, because their labels and boxes mean those pixels.
"""

import io
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.Image import Transpose
from PIL.JpegImagePlugin import JpegImageFile

from hpe_core.common.errors import InputError, UnreadableFileError, UnreadableImageError
from hpe_core.common.files import regular_size

MAX_PIXELS = 80_000_000  # of an image, unless the variable below gives another number
LIMIT = "HPE_MAX_PIXELS"  # an environment variable
MAX_IMAGE_BYTES = 1_000_000_000  # per file; MAX_PIXELS take at most 640 MB
# Pillow's names. It decodes more, among them formats that run programs or have no magic number.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "AVIF", "GIF", "JPEG2000", "PPM")
_HEIF = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc")  # after 4 bytes of size
_ORIENTATION = 0x0112
_TURNS = {  # EXIF's numbers; Pillow turns counter-clockwise
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}  # fmt: skip
_LYING = (5, 6, 7, 8)  # height and width are exchanged
OWN_TABLES = ("faces.csv", "faces.parquet")  # one of them lies in the folder of a user's own corpus
_REDUCTIONS = (2, 4, 8)  # at which a JPEG decoder can divide its sides
_JPEG = (b"\xff\xd8\xff",)
# The last bytes of a complete file.
END_OF_FILE = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


class FloatPixelsError(ValueError):
    """An image whose pixels are floating-point numbers, without a range that means white."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """The whole image as H x W x 3 uint8, RGB.

    Of an animation the first frame (`frame_count`). Grey becomes three equal channels, CMYK is
    converted, transparency is dropped (the colours below it are kept), and of 16 bits per channel
    the upper 8 are kept. Raises UnreadableImageError for a file that is missing, no image, larger
    than `max_pixels` or MAX_IMAGE_BYTES, cut off or visibly damaged.
    """
    with _open(path) as image:
        return rgb_pixels(image)


def read_upright(path: Path) -> NDArray[np.uint8]:
    """`read_image` with the EXIF orientation applied, for photographs of users."""
    with _open(path) as image:
        return rgb_pixels(upright(image))


def read_photograph(path: Path) -> tuple[NDArray[np.uint8], int]:
    """`read_upright` for images of any size, and the factor by which their sides were divided.

    JPEG files of more than `max_pixels` are decoded at a half, a quarter or an eighth of their
    size, which takes no more memory than the result; the factor is 1 for all others.
    """
    with _open(path, reduced=True) as image:
        factor = _reduce(image)
        return rgb_pixels(upright(image)), factor


def max_pixels() -> int:
    """How many pixels an image may have. Raises InputError for a variable that is no number."""
    text = os.environ.get(LIMIT, "")
    if text and not (text.isdecimal() and int(text)):
        raise InputError(f"the variable {LIMIT} is {text!r}; expected a number of pixels")
    return int(text or MAX_PIXELS)


def upright(image: Image.Image) -> Image.Image:
    """An image turned as its EXIF orientation says; as it is where that cannot be read.

    Only that tag is looked at, and no metadata is written: others may be damaged.
    """
    image.load()  # Pillow turns a TIFF then, and takes its tag away
    orientation = _orientation(image)
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # Pillow parses what cameras wrote; it raises SyntaxError and others
        return None


def frame_count(path: Path) -> int:
    """How many frames an image has, above 1 for an animation; 0 for a file that is no image.

    The second picture of many cameras' JPEG files, such as a preview, is no frame.
    """
    try:
        with _open(path, reduced=True) as image:
            return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    except UnreadableImageError:
        return 0


def rgb_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Any PIL image as H x W x 3 uint8, RGB. Raises ValueError for floating-point pixels."""
    return np.array(_to_rgb(image))


def read_corpus_image(folder: Path, name: str) -> NDArray[np.uint8]:
    """An image of a corpus: upright if the corpus is a user's own, else as stored."""
    return (read_upright if _is_own(folder) else read_image)(folder / name)


@cache
def _is_own(folder: Path) -> bool:
    return any((folder / table).exists() for table in OWN_TABLES)


def check_image(path: Path, *, turned: bool = False) -> tuple[int, int]:
    """(height, width) of an image that seems complete; takes a tenth of a millisecond.

    turned: after its EXIF orientation is applied; else as stored.

    Reads only the header and the end marker. A file that continues after its end marker is decoded
    instead. Raises UnreadableImageError as `read_image` does, which alone notices damage in the
    middle.
    """
    with _open(path) as image:
        end = END_OF_FILE.get(image.format or "")
        if end is None or not _ends_with(path, end):
            _to_rgb(image).load()
        lies = turned and _orientation(image) in _LYING
        return (image.width, image.height) if lies else (image.height, image.width)


def state_of(folder: Path, names: Iterable[str]) -> str:
    """A digest of the names, sizes and modification times of images.

    It does not notice an image that was replaced by one of the same size and time.
    """
    digest = sha256()
    for name in sorted(names):
        try:
            found = (folder / name).stat()
        except OSError:  # missing: the reader reports it
            continue
        digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def count_oriented(folder: Path, names: Iterable[str]) -> int:
    """How many of these images have an EXIF orientation that turns or mirrors them."""

    def oriented(name: str) -> bool:
        with _open(folder / name) as image:
            return _orientation(image) in _TURNS

    with ThreadPoolExecutor() as pool:
        return sum(pool.map(oriented, names))


@contextmanager
def _open(path: Path, *, reduced: bool = False) -> Iterator[Image.Image]:
    """The image, with its header read. Any error of a decoder becomes an UnreadableImageError.

    reduced: JPEG files may be larger than `max_pixels`, for `_reduce`.
    """
    limit = max_pixels()
    try:
        file_bytes = regular_size(path)
    except UnreadableFileError as error:
        raise UnreadableImageError(path, error.reason) from None
    if file_bytes > MAX_IMAGE_BYTES:
        reason = f"too large: {file_bytes} bytes, expected at most {MAX_IMAGE_BYTES}"
        raise UnreadableImageError(path, reason)
    try:
        with _header(path, limit) as image:
            may_be_reduced = reduced and isinstance(image, JpegImageFile)
            if image.width * image.height > limit and not may_be_reduced:
                size = f"{image.width} x {image.height}"
                raise Image.DecompressionBombError(f"{size} exceeds limit of {limit} pixels")
            yield image
    except Image.DecompressionBombError as error:  # PIL also raises it, above its own limit
        reason = f"too large: {_first_line(error)}; {LIMIT} raises it"
        raise UnreadableImageError(path, reason) from None
    except UnidentifiedImageError:
        reason = f"no image, or a damaged one: expected {', '.join(FORMATS)}"
        if _begins_with(path, 4, _HEIF):
            reason = "a HEIC image, which Pillow does not decode; convert it to JPEG"
        raise UnreadableImageError(path, reason) from None
    except FloatPixelsError as error:
        raise UnreadableImageError(path, str(error)) from None
    except MemoryError:
        raise UnreadableImageError(path, "there is not enough memory to decode it") from None
    except Exception as error:  # its decoders raise SyntaxError, IndexError and others
        told = isinstance(error, OSError) and error.errno  # by the system: no access, for example
        reason = _first_line(error) if told else f"damaged or cut off: {_first_line(error)}"
        raise UnreadableImageError(path, reason) from error


def _header(path: Path, limit: int) -> Image.Image:
    """An image without its pixels. Pillow warns of large ones, and refuses larger ones: JPEG files
    are opened past its check, since they can be reduced, and ours follows.
    """
    if _begins_with(path, 0, _JPEG):
        return JpegImageFile(path)
    if Image.MAX_IMAGE_PIXELS and limit > Image.MAX_IMAGE_PIXELS:  # raised by the user
        Image.MAX_IMAGE_PIXELS = limit
    return Image.open(path, formats=FORMATS)


def _reduce(image: Image.Image) -> int:
    """Sets an image to be decoded within `max_pixels`, if it is a JPEG; returns the divisor."""
    limit, (width, height) = max_pixels(), image.size
    for factor in (1, *_REDUCTIONS):
        if width * height <= limit * factor**2:
            break
    else:
        raise Image.DecompressionBombError(f"{width} x {height} exceeds limit of {limit} pixels")
    if factor > 1:
        image.draft(None, (width // factor, height // factor))
    return factor


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; PIL would clip it at 255
        grey = np.asarray(image, dtype=np.int64) >> 8
        image = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    if image.mode == "F":
        raise FloatPixelsError("floating-point pixels, expected 8 or 16 bits")
    return image if image.mode == "RGB" else image.convert("RGB")


def _ends_with(path: Path, marker: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(-len(marker), io.SEEK_END)
        return file.read() == marker


def _begins_with(path: Path, skipped: int, markers: tuple[bytes, ...]) -> bool:
    with path.open("rb") as file:
        return file.read(64)[skipped:].startswith(markers)


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which differs from machine to machine
    return (str(error) or type(error).__name__).splitlines()[0]
