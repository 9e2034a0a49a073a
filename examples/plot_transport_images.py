"""
From a shirt to trousers
========================

Two photographs are two ways to spread gray over the same pixels. Transport turns one into the other
by *moving* gray, where most distances between images compare pixel by pixel. This example turns a
shirt into trousers, checks the answer by hand, looks at what lies in between, and ends with the
reason why people compare images this way.

The pictures are from Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, MIT license). They are in
``examples/data/fashion.npz`` of the repository; run the example from the folder ``examples``.
"""

# %%
# Images as masses
# ----------------
#
# The gray levels, divided by their sum, are the masses. The places are the pixels, and moving a
# unit of gray costs the square of the distance in pixels. Most pixels are white, without mass:
# they are left out of the work and come back as zeros in the plan.

# sphinx_gallery_thumbnail_number = 4
import matplotlib.pyplot as plt
import numpy as np

import numopt

with np.load("data/fashion.npz") as images:
    shirt, trousers = images["shirt"].astype(float), images["trousers"].astype(float)
shape = shirt.shape
a, b = shirt.ravel() / shirt.sum(), trousers.ravel() / trousers.sum()
places = np.stack(np.indices(shape), axis=-1).reshape(-1, 2)
cost = np.sum((places[:, None] - places) ** 2, axis=2)

print(f"{a.size} pixels, {np.count_nonzero(a)} and {np.count_nonzero(b)} of them with mass")
figure, axes = plt.subplots(1, 2, figsize=(5, 2.5), layout="constrained")
for ax, image, name in zip(axes, (shirt, trousers), ("shirt", "trousers"), strict=True):
    ax.imshow(image, cmap="gray_r")
    ax.set_title(name)
    ax.axis("off")

# %%
# The costs are whole numbers up to 1458, the square of the diagonal. A thousandth of that is a
# small regularization: gray is blurred by about one pixel.

reg = 1e-3 * cost.max()
result = numopt.entropic_transport(cost, a, b, reg=reg)
print(result.message)
print(f"cost {result.cost:.4f}: a unit of gray travels {np.sqrt(result.cost):.2f} pixels")

# %%
# Trust, but check
# ----------------
#
# All that the solver found are two numbers for each pixel, the potentials ``f`` and ``g``. They
# say what the plan is, and that is one line of NumPy. The plan is right if its sums are the two
# images, and optimal if its value meets the dual one: by duality no plan can have a smaller
# value.

f, g = result.f, result.g
plan = a[:, None] * b * np.exp((f[:, None] + g - cost) / reg)
error = abs(plan.sum(axis=1) - a).sum() + abs(plan.sum(axis=0) - b).sum()
moved = plan > 0
spread = np.sum(plan[moved] * np.log(plan[moved] / np.outer(a, b)[moved]))
value, dual_value = np.sum(cost * plan) + reg * spread, f @ a + g @ b
print(f"sums wrong by {error:.1e}, value {value:.8f}, dual value {dual_value:.8f}")

# %%
# The potentials are prices: up to the blur, ``f`` at a pixel of the shirt plus ``g`` at a pixel
# of the trousers is the cost of the way between them if gray goes that way, and less than the
# cost if it does not. They are defined where there is no gray as well, and say there what some
# would cost.

ax = numopt.plotting.potentials(result, shape)
ax.figure.set_size_inches(7, 3)

# %%
# With squared distances the potential also knows the way: gray goes against half its gradient.
# The same displacement comes from the plan, as the average place that the gray of a pixel goes
# to.

goal = result.barycentric_map(places.astype(float))
has_gray = a > 1e-4
start, way = places[has_gray], (goal - places)[has_gray]
figure, ax = plt.subplots(figsize=(6, 6), layout="constrained")
ax.imshow(trousers, cmap="Oranges", alpha=0.5)
ax.quiver(
    start[:, 1],
    start[:, 0],
    way[:, 1],
    way[:, 0],
    angles="xy",
    scale_units="xy",
    scale=1,
    width=0.003,
    color=numopt.plotting.SOURCE,
)
ax.set(xticks=[], yticks=[])
_ = ax.set_title("where the gray of the shirt goes, over the trousers")

# %%
# In between
# ----------
#
# Stop the gray when every bit of it has gone a share *t* of its way, and look: these are the
# images between the two. Compare with a cross-fade, which lets one image vanish while the other
# appears.


def in_between(t):
    """Return the image when the gray has gone the share t of its way."""
    rows, columns = np.nonzero(plan > 1e-6 * plan.max())
    down, right = ((1 - t) * places[rows] + t * places[columns]).T
    image = np.zeros(shape)
    # What ends up between pixels is shared by the four around it.
    for y in (np.floor(down), np.floor(down) + 1):
        for x in (np.floor(right), np.floor(right) + 1):
            share = (1 - abs(down - y)) * (1 - abs(right - x))
            near = share > 0
            gray = share[near] * plan[rows, columns][near]
            np.add.at(image, (y[near].astype(int), x[near].astype(int)), gray)
    return image


times = (0, 0.25, 0.5, 0.75, 1)
figure, axes = plt.subplots(2, 5, figsize=(9, 4), layout="constrained")
for (top, bottom), t in zip(axes.T, times, strict=True):
    top.imshow(in_between(t), cmap="gray_r")
    bottom.imshow(((1 - t) * a + t * b).reshape(shape), cmap="gray_r")
    top.set_title(f"t = {t:g}")
for ax, name in zip(axes[:, 0], ("transport", "cross-fade"), strict=True):
    ax.set_ylabel(name)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)

# %%
# Why compare images this way
# ---------------------------
#
# Shift the trousers to the right, a pixel at a time, and ask how far they are from where they
# were. Pixel by pixel, the answer jumps at once, and then the distance *falls* when one leg comes
# to lie where the other was. The transport distance grows with the shift.
#
# The entropy needs care: with it, even an image and itself are some way apart. The Sinkhorn
# divergence takes that out. It works on points, so the pixels with gray become a cloud.

gray = b[b > 0]
cloud = places[b > 0].astype(float)
padded = np.pad(trousers, ((0, 0), (0, 12)))
shifts = np.arange(0, 13)
by_pixel, by_transport, by_divergence = [], [], []
for shift in shifts:
    by_pixel.append(np.linalg.norm(padded - np.roll(padded, shift, axis=1)))
    shifted = cloud + np.array([0, shift])
    clouds = numopt.PointCloudCost(cloud, shifted)
    by_transport.append(numopt.entropic_transport(clouds, gray, gray, reg=reg).cost ** 0.5)
    divergence = numopt.sinkhorn_divergence(cloud, shifted, gray, gray, reg=reg)
    by_divergence.append(max(divergence.fun, 0) ** 0.5)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(shifts, by_pixel, "s--", color="#d55e00")
left.set(xlabel="shift in pixels", title="pixel by pixel (Euclidean distance)", ylim=0)
right.plot(shifts, by_transport, "^:", color="black", label="square root of the cost")
right.plot(
    shifts,
    by_divergence,
    "o-",
    color=numopt.plotting.SOURCE,
    label="square root of the divergence",
)
right.set(xlabel="shift in pixels", title="transport", ylim=0)
_ = right.legend()

# %%
# A shift by *s* pixels is at a divergence of exactly *s* squared: whatever the regularization,
# the divergence of squared distances is that of the centers, squared, plus a part for the shape
# alone.

print("largest deviation:", f"{max(abs(np.array(by_divergence) - shifts)):.1e}")
