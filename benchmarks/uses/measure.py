"""Measurements of each use, returned as dictionaries."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import usual
from benchmarks.uses.defects import KINDS, add_defect, holes
from codec.inference.threads import map_ordered, worker_count
from codec.train.classical_trainer import digits, train_classical
from codec.vae.anomaly_detection import AnomalyModel
from codec.vae.evidence import elbo
from codec.vae.generation import sample
from codec.vae.imputation import impute

TEXTURES = usual(("brick", "grass", "gravel"), small=("brick",))
SIDE = 128
BARS = KINDS[:3]
# Samples of the codec.
DRAWN = usual(8, small=2)
# Good samples need few dimensions, which the posterior fills, and long training.
FOR_SAMPLES: dict[str, Any] = {"latent": 2, "variance": 0.04, "epochs": usual(600, small=2)}
OTHERWISE: dict[str, Any] = usual({}, small={"epochs": 2})
# Small runs use fewer crops per picture, fewer classes, and smaller pictures with holes.
MOST_CROPS, HOLED_SIDE, CLASSES = usual((None, 192, 10), small=(3, 96, 1))
# Seed of all draws here; parameters were tuned with other seeds.
SEED = 41


def read(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB samples."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def skimage_folder() -> Path:
    """Return the folder of scikit-image's pictures."""
    import skimage

    return Path(skimage.__file__).parent / "data"


def auroc(good: Any, bad: Any) -> float:
    """Return the area under the ROC curve of the scores of good and of bad items."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score([0] * len(good) + [1] * len(bad), [*good, *bad]))


def jpeg_size(pixels: NDArray[np.uint8]) -> float:
    """Return the size in bytes as a JPEG of quality 75."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=75)
    return float(len(stream.getvalue()))


class PcaError:
    """Largest reconstruction error of a 16x16 patch by the components that hold 95 % of the variance."""

    def __init__(self, pictures: list[NDArray[np.uint8]]) -> None:
        from sklearn.decomposition import PCA

        self.pca = PCA(0.95).fit(np.concatenate([self.patches(p) for p in pictures]))

    @staticmethod
    def patches(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        rows, columns = (side // 16 for side in pixels.shape[:2])
        gray = pixels[: rows * 16, : columns * 16].mean(2)
        return gray.reshape(rows, 16, columns, 16).transpose(0, 2, 1, 3).reshape(-1, 256)

    def map(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        patches = self.patches(pixels)
        again = self.pca.inverse_transform(self.pca.transform(patches))
        error = np.square(patches - again).mean(1)
        return error.reshape(pixels.shape[0] // 16, -1)

    def __call__(self, pixels: NDArray[np.uint8]) -> float:
        return float(self.map(pixels).max())


def crops(pixels: NDArray[np.uint8], step: int = SIDE) -> list[NDArray[np.uint8]]:
    """Cut all whole 128x128 crops out of a picture, `step` pixels apart."""
    tops, lefts = (range(0, side - SIDE + 1, step) for side in pixels.shape[:2])
    return [pixels[top:, left:][:SIDE, :SIDE] for top in tops for left in lefts][:MOST_CROPS]


def anomalies() -> dict[str, Any]:
    """Return AUROC by texture and defect: fitted on the lower half of a texture, scored on the upper.

    The score was chosen with the halves exchanged and other random draws.
    """
    sums: dict[str, dict[str, list[float]]] = {}
    for texture in TEXTURES:
        whole = read(skimage_folder() / f"{texture}.png")
        _anomalies_of(crops(whole[256:]), crops(whole[:256], SIDE // 2), sums)
    mixed: dict[str, dict[str, list[float]]] = {}
    photos = [read(skimage_folder() / name) for name in ("astronaut.png", "coffee.png", "chelsea.png")]
    every = [crop for photo in photos for crop in crops(photo)]
    _anomalies_of(every[1::2], every[::2], mixed)
    return {"textures": _means(sums), "mixed_photos": _means(mixed)}


def _anomalies_of(
    fit: list[NDArray[np.uint8]], test: list[NDArray[np.uint8]], into: dict[str, dict[str, list[float]]]
) -> None:
    """Add the AUROC of each method and kind of defect, with one defect on each crop of `test`."""
    rng = np.random.default_rng(SEED)
    model, pca = AnomalyModel.fit(fit), PcaError(fit)
    bad = {kind: [add_defect(p, kind, rng) for p in test] for kind in KINDS}
    scored = {kind: map_ordered(model.score, [p for p, _ in bad[kind]], worker_count(None)) for kind in KINDS}
    ours = map_ordered(model.score, test, worker_count(None))
    for kind in KINDS:
        pictures, masks = zip(*bad[kind], strict=True)
        labels = np.stack(masks)
        cells = [np.kron(found.cells, np.ones((8, 8)))[:SIDE, :SIDE] for found in scored[kind]]
        errors = [np.kron(pca.map(p), np.ones((16, 16))) for p in pictures]
        values = {
            "vaezip": auroc([f.value for f in ours], [f.value for f in scored[kind]]),
            "jpeg_size": auroc(*([jpeg_size(p) for p in part] for part in (test, pictures))),
            "pca": auroc(*([pca(p) for p in part] for part in (test, pictures))),
            "vaezip_pixels": _by_pixel(labels, cells),
            "pca_pixels": _by_pixel(labels, errors),
        }
        for name, value in values.items():
            into.setdefault(name, {}).setdefault(kind, []).append(value)


def _by_pixel(labels: NDArray[np.bool_], maps: list[NDArray[np.float64]]) -> float:
    scores = np.stack(maps)
    return auroc(scores[~labels], scores[labels])


def _means(sums: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    means = {
        name: {kind: round(float(np.mean(v)), 3) for kind, v in kinds.items()} for name, kinds in sums.items()
    }
    for kinds in means.values():
        kinds["mean of first three"] = round(float(np.mean([kinds[kind] for kind in BARS])), 3)
    return means


def digits_left_out() -> dict[str, float]:
    """Return the mean AUROC over the ten digits; each is left out of a fit on half of the other digits."""
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    x, labels = digits(), load_digits().target
    held = np.arange(len(x)) % 2 == 0
    rows: dict[str, list[float]] = {"classical_vae": [], "pca": [], "jpeg_size": []}
    for left_out in range(CLASSES):
        fit = x[~held & (labels != left_out)]
        good, bad = x[held & (labels != left_out)], x[labels == left_out]
        vae = train_classical(fit, seed=SEED + left_out, **OTHERWISE)
        rows["classical_vae"].append(auroc(vae.negative_elbo(good), vae.negative_elbo(bad)))
        pca = PCA(0.8).fit(fit.reshape(len(fit), -1))

        def error(p: NDArray[np.uint8], pca: Any = pca) -> NDArray[np.float64]:
            flat = p.reshape(len(p), -1).astype(float)
            return np.square(flat - pca.inverse_transform(pca.transform(flat))).mean(1)

        rows["pca"].append(auroc(error(good), error(bad)))
        sizes = [[jpeg_size(np.repeat(d[..., None], 3, 2)) for d in part] for part in (good, bad)]
        rows["jpeg_size"].append(auroc(*sizes))
    return {name: round(float(np.mean(values)), 3) for name, values in rows.items()}


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    error = np.square(a[where].astype(np.float64) - b[where]).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def imputation(kodak: Path, count: int, side: int = HOLED_SIDE) -> dict[str, Any]:
    """Return the mean PSNR in holes in the middle of Kodak pictures."""
    paths = sorted(kodak.glob("*.png"))[:: max(1, 24 // count)][:count]
    table = {}
    for kind in ("scratches", "32x32 holes"):
        rows = map_ordered(
            lambda item, kind=kind: _filled(kind, side, *item), list(enumerate(paths)), worker_count(None)
        )
        table[kind] = {name: round(float(np.mean([row[name] for row in rows])), 2) for name in rows[0]}
    return {"pictures": len(paths), "crop": side, "psnr": table}


def _filled(kind: str, side: int, number: int, path: Path) -> dict[str, float]:
    """Return the PSNR in the holes of one picture, by method."""
    import cv2

    whole = read(path)
    top, left = (whole.shape[0] - side) // 2, (whole.shape[1] - side) // 2
    x = whole[top : top + side, left : left + side]
    missing = holes(kind, side, side, number)
    torn = np.where(missing[..., None], 0, x).astype(np.uint8)
    mask = missing.astype(np.uint8) * 255
    results = {
        "vaezip": impute(torn, missing)[0],
        "telea": cv2.inpaint(torn, mask, 3, cv2.INPAINT_TELEA),
        "navier_stokes": cv2.inpaint(torn, mask, 3, cv2.INPAINT_NS),
        "mean_colour": np.where(missing[..., None], np.rint(x[~missing].mean(0)), x).astype(np.uint8),
    }
    return {name: _psnr(result, x, missing) for name, result in results.items()}


def half_digits(count: int = usual(100, small=2)) -> dict[str, float]:
    """Return the PSNR of the lower half of held-out digits, filled in from the upper half."""
    x = digits()
    held = np.arange(len(x)) % 2 == 1
    vae = train_classical(x[~held], **OTHERWISE)
    missing = np.zeros((8, 8), bool)
    missing[4:] = True
    mean = np.rint(x[~held].mean(0)).astype(np.uint8)
    chosen = x[held][:count]
    ours = np.mean([_psnr(vae.impute(d, missing), d, missing) for d in chosen])
    theirs = np.mean([_psnr(mean, d, missing) for d in chosen])
    return {"classical_vae": round(float(ours), 2), "mean_digit": round(float(theirs), 2)}


def generation(count: int = 500) -> dict[str, Any]:
    """Return a classifier's confidence in sampled digits, and statistics of codec samples and photos."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    x, labels = digits(), load_digits().target
    held = np.arange(len(x)) % 2 == 1
    flat = x.reshape(len(x), -1) / 255
    rounds = usual(400, small=20)
    reader = MLPClassifier(128, alpha=1e-3, max_iter=rounds, random_state=0).fit(flat[~held], labels[~held])

    def told(pictures: NDArray[np.floating[Any]]) -> dict[str, Any]:
        p = reader.predict_proba(pictures)
        # Copied digits would be nearer to the training set than new digits are.
        nearest = np.sqrt(np.square(pictures[:, None] - flat[~held]).mean(2).min(1))
        return {
            "share_at_0.9": round(float((p.max(1) >= 0.9).mean()), 3),
            "classes": np.bincount(p.argmax(1), minlength=10).tolist(),
            "nearest": round(float(np.median(nearest)), 3),
        }

    vae = train_classical(x[~held], **FOR_SAMPLES)
    cooler = {"temperature_y": 0.7, "temperature_z": 0.7}
    drawn = vae.sample(count, seed=SEED).reshape(count, -1) / 255
    photos = [read(skimage_folder() / name)[:256, :256] for name in ("astronaut.png", "coffee.png")]
    return {
        "settings": FOR_SAMPLES,
        "classifier_accuracy": round(float(reader.score(flat[held], labels[held])), 4),
        "held_out_digits": told(flat[held]),
        "samples": told(drawn),
        "codec": {
            "photos": _statistics(photos),
            "samples_t1": _statistics(sample(DRAWN, seed=1, threads=1)),
            "samples_t0.7": _statistics(sample(DRAWN, seed=1, threads=1, **cooler)),
        },
    }


def _statistics(pictures: list[NDArray[np.uint8]]) -> dict[str, float]:
    """Return means over pictures: bits per pixel in the codec, standard deviation, neighbour difference."""
    bpp = [(lambda e: e.rate_z + e.rate_y)(elbo(p, threads=1)) for p in pictures]
    steep = [np.abs(np.diff(p.astype(float), axis=1)).mean() for p in pictures]
    rows = {
        "bpp": bpp,
        "mean": [p.mean() for p in pictures],
        "std": [p.std() for p in pictures],
        "gradient": steep,
    }
    return {name: round(float(np.mean(values)), 2) for name, values in rows.items()}
