"""A frame of the decoding pass: small, upright, RGB, in the brightness of a plain screen."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from v2a_foley.media.probe import MediaInfo, Orientation

Image = NDArray[np.uint8]

THUMBNAIL_SIDE = 72
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_PQ, _HLG = 16, 18  # AVColorTransferCharacteristic: SMPTE 2084, ARIB STD-B67
_BT2020_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


class Frame:
    """One frame of the video, upright, at ``time`` seconds after the video's first frame.

    ``thumbnail`` is uint8 RGB ``(h, w, 3)``, its short side 72 px; ``image`` is the same at the
    pass's size, made when it is first asked for: until then the frame keeps the decoded picture,
    so a consumer holds on to few frames whose ``image`` it has not read.
    """

    __slots__ = ("_image", "_luma", "_render", "duration", "thumbnail", "time")

    def __init__(
        self, time: float, duration: float, thumbnail: Image, render: Callable[[], Image]
    ) -> None:
        self.time = time
        self.duration = duration
        self.thumbnail = thumbnail
        self._render: Callable[[], Image] | None = render
        self._image: Image | None = None
        self._luma: NDArray[np.float32] | None = None

    @property
    def image(self) -> Image:
        """The picture, uint8 RGB ``(H, W, 3)``."""
        if self._render is not None:
            self._image, self._render = self._render(), None
        assert self._image is not None
        return self._image

    @property
    def luma(self) -> NDArray[np.float32]:
        """The thumbnail's luma (BT.601 weights), float32 ``(h, w)`` in 0..255."""
        if self._luma is None:
            self._luma = self.thumbnail.astype(np.float32) @ _LUMA
        return self._luma


class Scaler:
    """Makes small upright RGB pictures of one size, whatever the stream does in between."""

    def __init__(self, info: MediaInfo, turn: Orientation, short_side: int) -> None:
        width, height = (info.height, info.width) if turn.transpose else (info.width, info.height)
        # The second bound keeps banners of extreme aspect from becoming huge.
        scale = min(1.0, short_side / min(width, height), 4 * short_side / max(width, height))
        self._size = max(1, round(width * scale)), max(1, round(height * scale))
        self._turn = turn
        self._reformatter = VideoReformatter()

    def __call__(self, picture: VideoFrame) -> Image:
        # Area averaging: a detector fed with aliased thumbnails takes grain for change.
        scaled = self._reformatter.reformat(
            picture, *self._size, format="rgb24", interpolation=Interpolation.AREA
        )
        image = np.asarray(scaled.to_ndarray(), dtype=np.uint8)
        if (curve := _linear_light(int(picture.color_trc))) is not None:
            image = _tone_map(image, curve)
        return _upright(image, self._turn)


def _upright(image: Image, turn: Orientation) -> Image:
    if turn.transpose:
        image = image.transpose(1, 0, 2)
    if turn.mirror_x:
        image = image[:, ::-1]
    if turn.mirror_y:
        image = image[::-1]
    return np.ascontiguousarray(image)


@functools.lru_cache(maxsize=4)
def _linear_light(transfer: int) -> NDArray[np.float32] | None:
    """Light for each 8-bit code of an HDR curve, 1.0 = the 203 cd/m2 of graphics white; else None.

    The curves are those of ITU-R BT.2100, HLG as shown on a 1000 cd/m2 screen.
    """
    code = np.arange(256) / 255.0
    if transfer == _PQ:
        root = code ** (32 / 2523)
        light = 10000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (
            16384 / 2610
        )
    elif transfer == _HLG:
        scene = np.where(
            code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
        )
        light = 1000 * scene**1.2
    else:
        return None
    return (light / 203).astype(np.float32)


def _tone_map(image: Image, curve: NDArray[np.float32]) -> Image:
    """An HDR picture as a plain screen shows it: what the image encoder was trained on."""
    light = np.maximum(curve[image] @ _BT2020_TO_709.T, 0)
    knee = 0.75  # linear up to here, highlights rolled off into the rest
    rolled = knee + (1 - knee) * (1 - np.exp((knee - light) / (1 - knee)))
    shown = np.where(light > knee, rolled, light) ** (1 / 2.2)
    return np.rint(shown * 255).astype(np.uint8)
