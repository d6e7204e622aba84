"""Losses of classes: name, and title, grammar, text as published, source and maybe the weight of the target."""

from __future__ import annotations

# Binary cross-entropy in its stable form: log(1 + e^x) - x t
_BCE = "sub(softplus(x), mul(x, {t}))"
_SQUARED_ERROR = "mul(sub({t}, sigmoid(x)), sub({t}, sigmoid(x)))"
_PAPER = "Liu et al. 2021, arXiv 2102.04700, appendix; text from the authors' repository"
_LIN = "Lin et al. 2017, arXiv 1708.02002, eq. 5"

USUAL = {
    "cross_entropy": ("cross-entropy", "softmax", "neg(dot(y, log(softmax(x))))", "textbook"),
    "binary_cross_entropy": ("binary cross-entropy", "sigmoid", _BCE.format(t="y"), "textbook"),
    "focal": (
        "focal (gamma 2)",
        "sigmoid",
        f"mul({_SQUARED_ERROR.format(t='y')}, {_BCE.format(t='y')})",
        _LIN,
        0.25,
    ),
    "quality_focal": (
        "quality focal (beta 2)",
        "sigmoid",
        f"mul({_SQUARED_ERROR.format(t='w')}, {_BCE.format(t='w')})",
        "Li et al. 2020, arXiv 2006.04388, eq. 2",
    ),
    "varifocal": (
        "varifocal (alpha 0.75, gamma 2)",
        "sigmoid",
        f"mul(add(w, mul(div(3, 4), mul(sub(1, y), mul(sigmoid(x), sigmoid(x))))), {_BCE.format(t='w')})",
        "Zhang et al. 2021, arXiv 2008.13367, eq. 2",
    ),
}
PUBLISHED = {
    "a": (
        "CSE-Autoloss-A class",
        "softmax",
        "Neg(Dot(Mul(Y,Add(1,Sin(Z))),Log(Softmax(X))))",
        _PAPER,
    ),
    "b": (
        "CSE-Autoloss-B class",
        "sigmoid",
        "Neg(Add(Mul(Q,Mul(Add(1,Serf(Sig(NY))),Log(Sig(X)))),Mul(Add(Sgdf(X),Neg(Q)),"
        "Mul(Add(Add(1,Neg(Q)),Neg(Add(1,Neg(Sig(X))))),Log(Add(1,Neg(Sig(X))))))))",
        _PAPER,
        0.25,
    ),
}
_P = "sigmoid(x)"
_WRONG = f"abs(y - {_P})"
_SHIFTED = f"relu({_P} - 0.05)"
LATER = {
    "generalised_cross_entropy": (
        "generalised cross-entropy (q 0.7)",
        "softmax_wide",
        "dot(y, (1 - pow(p, 0.7))/0.7)",
        "Zhang and Sabuncu 2018, arXiv 1805.07836, eq. 6",
    ),
    "generalised_binary_cross_entropy": (
        "generalised binary cross-entropy (q 0.7)",
        "sigmoid_wide",
        f"(1 - pow(1 - {_WRONG}, 0.7))/0.7",
        "Zhang and Sabuncu 2018, arXiv 1805.07836, eq. 6, of every class against the rest",
    ),
    "symmetric_cross_entropy": (
        "symmetric cross-entropy (alpha 0.1, beta 1, A -4)",
        "softmax_wide",
        "dot(y, 4*(1 - p) - 0.1*log(p))",
        "Wang et al. 2019, arXiv 1908.06112, eq. 7",
    ),
    "absolute_error": ("absolute error", "softmax_wide", "abs(y - p)", "Ghosh et al. 2017, arXiv 1712.09482"),
    "poly1_cross_entropy": (
        "poly-1 cross-entropy (epsilon 1)",
        "softmax_wide",
        "dot(y, 1 - p - log(p))",
        "Leng et al. 2022, arXiv 2204.12511, eq. 6",
    ),
    "brier": ("Brier", "softmax_wide", "dot(y - p, y - p)", "Brier 1950, Monthly Weather Review 78"),
    "logit_adjusted": (
        "logit-adjusted cross-entropy",
        "softmax_wide",
        "-dot(y, log(softmax(x + log(f))))",
        "Menon et al. 2021, arXiv 2007.07314, eq. 10",
    ),
    "class_balanced": (
        "class-balanced cross-entropy (beta 1 - 1/n of the most frequent class)",
        "softmax_wide",
        "-dot(y/(1 - exp(-f)), log(p))",
        "Cui et al. 2019, arXiv 1901.05555, eq. 3, where 1 - beta is small",
    ),
    "squared_error": ("squared error", "sigmoid_wide", "(y - sigmoid(x))**2", "Brier 1950, Monthly Weather Review 78"),
    "asymmetric": (
        "asymmetric (gamma 1 and 4, margin 0.05)",
        "sigmoid_wide",
        f"-(y*(1 - {_P})*log({_P}) + (1 - y)*{_SHIFTED}**4*log(1 - {_SHIFTED}))",
        "Ridnik et al. 2021, arXiv 2009.14119, eq. 7; gammas as in timm",
    ),
    "equalised_focal": (
        "equalised focal (gamma 2, s 8)",
        "sigmoid_wide",
        f"(1 + 4*(1 - f))*pow({_WRONG}, 2 + 8*(1 - f))*(softplus(x) - x*y)",
        "Li et al. 2022, arXiv 2201.02593, eq. 5; the class's frequency in place of its balance of gradients",
        0.25,
    ),
    "logit_adjusted_focal": (
        "logit-adjusted focal (gamma 2)",
        "sigmoid_wide",
        "(y - sigmoid(x + log(f)))**2*(softplus(x + log(f)) - (x + log(f))*y)",
        "Menon et al. 2021, arXiv 2007.07314, eq. 10, in Lin et al. 2017, arXiv 1708.02002, eq. 5",
        0.25,
    ),
    "class_balanced_focal": (
        "class-balanced focal (gamma 2, beta 1 - 1/n of the most frequent class)",
        "sigmoid_wide",
        "(y - sigmoid(x))**2*(softplus(x) - x*y)/(1 - exp(-(1 - dot(y, 1 - f))))",
        "Cui et al. 2019, arXiv 1901.05555, eq. 3 and 6, where 1 - beta is small; background as if most frequent",
    ),
}
