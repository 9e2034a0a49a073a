"""What the kernels of l_p scores and regression compute; see `families`."""

import numpy as np
from arithmetic import extended


def weighted_gram(A, weights):
    A, weights = extended(A, weights)
    bound = np.abs(A).T @ (weights[:, None] * np.abs(A))
    return ((A.T @ (weights[:, None] * A), float(bound.max())),)


def row_quadform(A, P):
    A, P = extended(A, P)
    bound = ((np.abs(A) @ np.abs(P)) ** 2).sum(axis=1)
    return ((((A @ P) ** 2).sum(axis=1), float(bound.max())),)


def _sides(positive, negative, room_up, room_down):
    return positive / room_up, negative / room_down


def box_curvature(positive, negative, room_up, room_down, residual):
    positive, negative, room_up, room_down, residual = extended(
        positive, negative, room_up, room_down, residual
    )
    curvature = 1 / sum(_sides(positive, negative, room_up, room_down))
    product = curvature * residual
    return (
        (curvature, float(curvature.max())),
        (product, float(np.abs(product).max())),
    )


def box_targets(positive, negative, room_up, room_down, residual, curvature, step_y, center):
    positive, negative, room_up, room_down, residual, curvature, step_y = extended(
        positive, negative, room_up, room_down, residual, curvature, step_y
    )
    # Second-order terms: predictor steps of the multipliers times those of the rooms.
    step_p = positive * step_y / room_up - positive
    step_n = -negative * step_y / room_down - negative
    up, down = center + step_p * step_y, center - step_n * step_y
    right = residual - up / room_up + down / room_down
    size_up = center + (positive * np.abs(step_y) / room_up + positive) * np.abs(step_y)
    size_down = center + (negative * np.abs(step_y) / room_down + negative) * np.abs(step_y)
    size = np.abs(residual) + size_up / room_up + size_down / room_down
    return (
        (up, float(size_up.max())),
        (down, float(size_down.max())),
        (right, float(size.max())),
        (curvature * right, float((curvature * size).max())),
    )


def box_direction(positive, negative, room_up, room_down, curvature, right, image, up, down):
    positive, negative, room_up, room_down, curvature, right, image, up, down = extended(
        positive, negative, room_up, room_down, curvature, right, image, up, down
    )
    y = curvature * (right - image)
    p = up / room_up + positive * y / room_up - positive
    n = down / room_down - negative * y / room_down - negative
    sums = np.stack(
        [
            max((-p / positive).max(), (-n / negative).max()),
            max((y / room_up).max(), (-y / room_down).max()),
            positive @ room_up + negative @ room_down,
            p @ room_up + n @ room_down,
            (negative - positive) @ y,
            (n - p) @ y,
        ]
    )
    size_y = curvature * (np.abs(right) + np.abs(image))
    size_p = np.abs(up) / room_up + positive * size_y / room_up + positive
    size_n = np.abs(down) / room_down + negative * size_y / room_down + negative
    scale = max(
        (size_p / positive).max(),
        (size_n / negative).max(),
        (size_y / np.minimum(room_up, room_down)).max(),
        size_p @ room_up + size_n @ room_down,
        (positive + negative) @ size_y,
        (size_p + size_n) @ size_y,
    )
    return (
        (y, float(size_y.max())),
        (p, float(size_p.max())),
        (n, float(size_n.max())),
        (sums, float(scale)),
    )


def power_terms(residual, weights, p, smoothing):
    residual, weights = extended(residual, weights)
    square = residual**2 + np.longdouble(smoothing) ** 2
    safe = np.where(square > 0, square, 1)
    slope = np.where((square > 0) | (p == 2), weights * safe ** (np.longdouble(p) / 2 - 1), 0)
    curvature = slope * (1 + (p - 2) * residual**2 / safe)
    value = (weights * np.abs(residual) ** p).sum()
    digits = 1 + np.abs(p * np.log(safe)).max()
    return (
        (slope * residual, float(digits * np.abs(slope * residual).max())),
        (curvature, float(digits * (slope * (1 + abs(p - 2))).max())),
        (float(value), float(digits * value)),
    )


def power_slope(residual, image, weights, p, smoothing, step):
    residual, image, weights = extended(residual, image, weights)
    moved = residual - step * image
    square = moved**2 + np.longdouble(smoothing) ** 2
    safe = np.where(square > 0, square, 1)
    slope = np.where(square > 0, weights * safe ** (np.longdouble(p) / 2 - 1), 0)
    # A difference of residual and image loses digits of the power, too.
    size = np.abs(residual) + np.abs(step * image)
    sensitivity = slope * (1 + abs(p - 2) * size / np.sqrt(safe)) * size * np.abs(image)
    digits = 1 + np.abs(p * np.log(safe)).max()
    value = -(slope * moved * image).sum()
    return ((float(value), float(digits * sensitivity.sum())),)
