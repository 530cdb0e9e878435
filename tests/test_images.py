"""Images are read whole or refused, and a look at the header agrees with decoding."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from hpe_core.common.errors import InputError, UnreadableImageError
from hpe_core.faces.images import (
    MAX_PIXELS,
    check_image,
    count_oriented,
    frame_count,
    read_image,
    read_photograph,
    read_upright,
    upright,
)

Y, X = np.mgrid[:40, :60]
RGB = np.stack([4 * X, 4 * Y, 200 + 0 * X], -1).astype(np.uint8)
GREY16 = (np.arange(40 * 60, dtype=np.uint16) * 27).reshape(40, 60)


def saved(path, pixels=RGB, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff"])
def test_lossless_formats_come_back_exactly(tmp_path, suffix):
    path = saved(tmp_path / f"x{suffix}")
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, RGB)
    assert check_image(path) == (40, 60)


def test_jpeg_is_rgb_and_equal_to_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2")
    path = saved(tmp_path / "x.jpg", quality=95)
    pixels = read_image(path)
    assert np.abs(pixels.astype(int) - RGB).mean() < 3
    np.testing.assert_allclose(pixels, cv2.imread(str(path))[..., ::-1], atol=2)


@pytest.mark.parametrize(
    ("pixels", "mode", "expected"),
    [
        pytest.param(RGB[..., 0], None, RGB[..., :1].repeat(3, -1), id="grey"),
        pytest.param(np.dstack([RGB, RGB[..., 0]]), None, RGB, id="alpha-keeps-colours"),
        pytest.param(RGB[..., 0], "LA", RGB[..., :1].repeat(3, -1), id="grey-alpha"),
        pytest.param(GREY16, None, (GREY16 >> 8)[..., None].repeat(3, -1), id="16-bit-grey"),
        pytest.param(
            RGB[..., 0] > 99, None, np.where(RGB[..., :1] > 99, [255] * 3, [0] * 3), id="1-bit"
        ),
    ],
)
def test_other_pixels_become_three_channels(tmp_path, pixels, mode, expected):
    np.testing.assert_array_equal(read_image(saved(tmp_path / "x.png", pixels, mode)), expected)


def test_palette_and_cmyk(tmp_path):
    palette = saved(tmp_path / "p.png", np.uint8([[[255, 0, 0], [0, 0, 255]]]), "P")
    np.testing.assert_array_equal(read_image(palette), [[[255, 0, 0], [0, 0, 255]]])
    cmyk = saved(tmp_path / "c.jpg", RGB, "CMYK", quality=100)
    assert np.abs(read_image(cmyk).astype(int) - RGB).mean() < 3


def test_orientation_tag_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert read_image(saved(tmp_path / "x.jpg", exif=exif)).shape == (40, 60, 3)


def tagged(path, orientation: int, entry: tuple[int, int, int, bytes] | None = None):
    """A JPEG of the test picture whose EXIF data has an orientation, and one more entry.

    entry: its tag, type, count and value, which is stored behind both.
    """
    entries = [(0x0112, 3, 1, struct.pack("<HH", orientation, 0))]
    if entry:
        entries.append((*entry[:3], struct.pack("<I", 8 + 2 + 2 * 12 + 4)))
    rows = b"".join(struct.pack("<HHI", *row[:3]) + row[3] for row in entries)
    tiff = b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + struct.pack("<I", 0)
    exif = b"Exif\0\0" + tiff + (entry[3] if entry else b"")
    content = saved(path).read_bytes()
    header = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(content[:2] + header + content[2:])
    return path


@pytest.mark.parametrize("orientation", range(10))
def test_every_orientation_is_that_of_pillow(tmp_path, orientation):
    path = tagged(tmp_path / "x.jpg", orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(read_upright(path), expected)
    assert read_upright(path).shape[:2] == ((60, 40) if orientation in (5, 6, 7, 8) else (40, 60))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_tiff_is_turned_once(tmp_path, orientation, compression):
    """Pillow turns it while it decodes."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "x.tif"
    Image.fromarray(RGB).save(path, exif=exif, compression=compression)
    expected = np.rot90(RGB, {3: 2, 6: -1, 8: 1}[orientation])
    assert np.abs(read_upright(path).astype(int) - expected).mean() < 8
    assert check_image(path, turned=True) == expected.shape[:2]
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(upright(image)), read_upright(path))


def test_what_the_system_refuses_is_not_called_damage(tmp_path, monkeypatch):
    path = saved(tmp_path / "x.png")

    def no_access(*_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    def no_memory(*_, **__):
        raise MemoryError

    for broken, reason in (
        (no_access, "Permission denied"),
        (no_memory, "there is not enough mem"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr("hpe_core.faces.images._to_rgb", broken)
            with pytest.raises(UnreadableImageError) as error:
                read_image(path)
            assert error.value.reason.startswith(reason)
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(UnreadableImageError, match=r"f\.tif: floating-point pixels, expected 8"):
        read_image(tmp_path / "f.tif")


@pytest.mark.parametrize("name", ["x.jfif", "x.JPE", "x"])
def test_a_very_large_photograph_is_an_image_whatever_its_name(tmp_path, monkeypatch, name):
    path = tmp_path / name
    Image.fromarray(RGB).save(path, "JPEG")
    monkeypatch.setenv("HPE_MAX_PIXELS", "1000")
    assert frame_count(path) == 1


@pytest.mark.filterwarnings("error")
def test_large_photographs_warn_of_nothing(tmp_path):
    """89 megapixels are where Pillow begins to."""
    path = tmp_path / "x.jpg"
    Image.new("L", (12_000, 9_000), 90).save(path)
    assert read_photograph(path)[1] == 2


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param((0x011A, 10, 1, struct.pack("<ii", -1, 0)), id="a negative rational"),
        pytest.param((0x011A, 5, 1, struct.pack("<II", 1, 0)), id="a division by 0"),
        pytest.param((0x010F, 2, 4_000_000_000, b"x"), id="a text of 4 GB"),
        pytest.param((0x8769, 4, 1, struct.pack("<I", 0xFFFFFFF0)), id="a pointer out of the file"),
        pytest.param((0x9999, 99, 1, b"\0" * 8), id="an unknown type"),
    ],
)
def test_good_pixels_are_read_whatever_other_metadata_say(tmp_path, entry):
    path = tagged(tmp_path / "x.jpg", 6, entry)
    np.testing.assert_array_equal(read_upright(path), np.rot90(read_image(path), -1))


def test_metadata_that_cannot_be_parsed_turn_nothing(tmp_path):
    content = tagged(tmp_path / "x.jpg", 6).read_bytes()
    (tmp_path / "x.jpg").write_bytes(content.replace(b"II*\0", b"II*\1"))
    assert read_upright(tmp_path / "x.jpg").shape == (40, 60, 3)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


DAMAGE = [
    pytest.param(cut, "cut off", id="cut-in-half"),
    pytest.param(lambda c: c[:-2], "cut off", id="end-marker-missing"),
    pytest.param(lambda c: cut(c) + bytes(len(c)), "cut off", id="half-then-zeros"),
    pytest.param(lambda c: c[:30], "damaged", id="header-cut"),
    pytest.param(lambda _: b"", "no image", id="empty"),
    pytest.param(lambda _: b"<html>404</html>", "no image", id="text"),
]


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("damage", "reason"), DAMAGE)
def test_damaged_jpeg_is_refused(tmp_path, damage, reason, progressive):
    path = saved(tmp_path / "x.jpg", progressive=progressive)
    path.write_bytes(damage(path.read_bytes()))
    for read in (check_image, read_image):
        with pytest.raises(UnreadableImageError, match=reason) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert str(tmp_path) not in caught.value.reason


@pytest.mark.parametrize("read", [check_image, read_image])
@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_cut_files_of_other_formats_are_refused(tmp_path, read, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), "u1")
    path = saved(tmp_path / f"x{suffix}", noise)
    path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(InputError, match=str(path)):
        read(path)


@pytest.mark.parametrize("read", [check_image, read_image])
def test_a_missing_file_and_a_folder_are_refused(tmp_path, read):
    with pytest.raises(UnreadableImageError, match=r"absent\.jpg: no such file"):
        read(tmp_path / "absent.jpg")
    with pytest.raises(UnreadableImageError, match=str(tmp_path)) as caught:
        read(tmp_path)
    assert str(tmp_path) not in caught.value.reason


def test_bytes_behind_the_end_do_no_harm(tmp_path):
    path = saved(tmp_path / "x.jpg")
    before = read_image(path)
    path.write_bytes(path.read_bytes() + b"camera notes" * 100)
    assert check_image(path) == (40, 60)
    np.testing.assert_array_equal(read_image(path), before)


LIMITED = [  # pixels allowed, factor at which 40 x 60 are read
    pytest.param(2400, 1, id="as they are"),
    pytest.param(2399, 2, id="half"),
    pytest.param(600, 2, id="just half"),
    pytest.param(599, 4, id="a quarter"),
    pytest.param(149, 8, id="an eighth"),
]


@pytest.mark.parametrize(("limit", "factor"), LIMITED)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photographs_beyond_the_limit_are_read_smaller(tmp_path, monkeypatch, limit, factor, mode):
    path = saved(tmp_path / "x.jpg", RGB, mode, quality=95)
    whole = read_image(path).astype(float)
    monkeypatch.setenv("HPE_MAX_PIXELS", str(limit))
    pixels, found = read_photograph(path)
    assert found == factor
    assert pixels.shape == (-(-40 // factor), -(-60 // factor), 3)
    rows, columns = 40 // factor, 60 // factor
    blocks = whole[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor, 3)
    assert np.abs(pixels[:rows, :columns] - blocks.mean((1, 3))).mean() < 3


def test_a_reduced_photograph_is_upright(tmp_path, monkeypatch):
    path = tagged(tmp_path / "x.jpg", 6)
    monkeypatch.setenv("HPE_MAX_PIXELS", "600")
    pixels, factor = read_photograph(path)
    assert (pixels.shape, factor) == ((30, 20, 3), 2)


def test_what_is_no_jpeg_or_too_large_for_it_is_refused_with_advice(tmp_path, monkeypatch):
    png, jpeg = saved(tmp_path / "x.png"), saved(tmp_path / "x.jpg")
    monkeypatch.setenv("HPE_MAX_PIXELS", "37")  # 40 x 60 / 64 = 37.5
    for read, path in ((read_photograph, png), (read_photograph, jpeg), (read_image, jpeg)):
        with pytest.raises(UnreadableImageError, match=r"60 x 40 .* of 37 .*HPE_MAX_PIXELS raises"):
            read(path)
    monkeypatch.setenv("HPE_MAX_PIXELS", "38")
    assert read_photograph(jpeg)[1] == 8


def test_a_photograph_of_200_megapixels(tmp_path):
    """16,320 x 12,240: beyond the size at which Pillow itself raises."""
    path = tmp_path / "x.jpg"
    Image.new("L", (16_320, 12_240), 90).save(path)
    pixels, factor = read_photograph(path)
    assert (pixels.shape, factor) == ((6_120, 8_160, 3), 2)
    assert np.abs(pixels[::50, ::50].astype(int) - 90).max() <= 1
    with pytest.raises(UnreadableImageError, match="too large: .*HPE_MAX_PIXELS raises it"):
        read_image(path)


def test_the_limit_can_be_raised_for_any_format(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    Image.new("1", (14_000, 13_000)).save(path)  # 182 megapixels: beyond Pillow's own
    with pytest.raises(UnreadableImageError, match="too large"):
        check_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # restored behind us
    monkeypatch.setenv("HPE_MAX_PIXELS", "200000000")
    assert check_image(path) == (13_000, 14_000)


@pytest.mark.parametrize("text", ["many", "-5", "0", "1e8"])
def test_a_limit_that_is_no_number_is_named(tmp_path, monkeypatch, text):
    path = saved(tmp_path / "x.png")
    monkeypatch.setenv("HPE_MAX_PIXELS", text)
    with pytest.raises(InputError, match=f"HPE_MAX_PIXELS is '{text}'; expected a number"):
        read_image(path)


def test_images_that_an_orientation_turns_are_counted(tmp_path):
    for orientation in (0, 1, 3, 6, 8, 9):
        tagged(tmp_path / f"{orientation}.jpg", orientation)
    saved(tmp_path / "x.png")
    names = [path.name for path in tmp_path.iterdir()]
    assert count_oriented(tmp_path, names) == 3


@pytest.mark.parametrize(("read", "side"), [(check_image, 9_000), (read_image, 20_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header(tmp_path, read, side):
    path = tmp_path / "x.png"
    Image.new("1", (side, side)).save(path)
    assert path.stat().st_size < 100_000
    assert side**2 > MAX_PIXELS
    with pytest.raises(UnreadableImageError, match=r"too large: .* exceeds limit"):
        read(path)
