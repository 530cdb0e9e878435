"""Images from disk, looked at before they are decoded and never half decoded.

OpenCV returns a half-grey image for a JPEG cut in half and decodes a 49 kB PNG to 2.3 GB. PIL
raises for the first, and its header tells the size of the second before anything is decoded.

Pixels are returned as stored: an EXIF orientation is ignored, because labels and boxes of the
corpora refer to stored pixels (and the corpora hold no such tag).
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hpe_core.errors import UnreadableFileError, UnreadableImageError
from hpe_core.io.files import regular_size

MAX_PIXELS = 80_000_000  # below the 89 megapixels at which PIL itself begins to warn
MAX_BYTES = 1_000_000_000  # of a file, all of which `index` reads; MAX_PIXELS take 640 MB at most
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
# The last bytes of a file that was written to its end.
END_OF_FILE = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}


def read_image(path: Path) -> NDArray[np.uint8]:
    """The whole image as H x W x 3 uint8, RGB.

    Grey becomes three equal channels, CMYK is converted, transparency is dropped (the colours
    below it are kept), 16 bits a channel become the upper 8. Raises UnreadableImageError for a
    file that is missing, no image, larger than MAX_PIXELS or MAX_BYTES, cut off or damaged where it
    shows.
    """
    with _opened(path) as image:
        return np.array(_to_rgb(image))


def check_image(path: Path) -> tuple[int, int]:
    """(height, width) of an image that is whole, as far as can be told at a tenth of a millisecond.

    Looks at the header and the end marker only. A file with anything behind its end marker is
    decoded: that decides. Raises UnreadableImageError for what `read_image` would not read;
    damage in the middle shows only there.
    """
    with _opened(path) as image:
        end = END_OF_FILE.get(image.format or "")
        if end is None or not _ends_with(path, end):
            _to_rgb(image).load()
        return image.height, image.width


def state_of(folder: Path, names: Iterable[str]) -> str:
    """A digest of the images' names, sizes and times of change: another one where any of them is.

    Whoever replaces an image by one of its size and sets the time back is not noticed.
    """
    digest = sha256()
    for name in sorted(names):
        try:
            found = (folder / name).stat()
        except OSError:  # missing: the reader says so
            continue
        digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The image with its header read; whatever a decoder raises is one UnreadableImageError."""
    try:
        file_bytes = regular_size(path)
    except UnreadableFileError as error:
        raise UnreadableImageError(path, error.reason) from None
    if file_bytes > MAX_BYTES:
        reason = f"too large: {file_bytes} bytes, expected at most {MAX_BYTES}"
        raise UnreadableImageError(path, reason)
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                size = f"{image.width} x {image.height}"
                raise Image.DecompressionBombError(f"{size} exceeds limit of {MAX_PIXELS} pixels")
            yield image
    except Image.DecompressionBombError as error:  # PIL raises it, too, above a limit of its own
        raise UnreadableImageError(path, f"too large: {_first_line(error)}") from None
    except UnidentifiedImageError:
        reason = f"no {', '.join(FORMATS)} image, or a damaged header"
        raise UnreadableImageError(path, reason) from None
    except Exception as error:  # its decoders raise SyntaxError, IndexError and others
        raise UnreadableImageError(path, f"damaged or cut off: {_first_line(error)}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits grey; PIL would clip it at 255
        grey = np.asarray(image, dtype=np.int64) >> 8
        image = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels, expected 8 or 16 bits")
    return image if image.mode == "RGB" else image.convert("RGB")


def _ends_with(path: Path, marker: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(-len(marker), io.SEEK_END)
        return file.read() == marker


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which differs from machine to machine
    return (str(error) or type(error).__name__).splitlines()[0]
