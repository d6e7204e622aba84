"""mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py with
ClassBalancedFocalClassLoss_bfc119ba.

class-balanced focal (gamma 2, beta 1 - 1/n of the most frequent class). Source: Cui et al. 2019, arXiv 1901.05555,
eq. 3 and 6, where 1 - beta is small; background as if most frequent.

    python tools/train.py config.py

from this folder, with mmdetection's own tools/train.py. In the work dir it leaves a config that loads wherever it
lies, for inference also without the losses.

mmcv_ops_0b764476 stands in for the compiled ops that the mmcv of `pip install` lacks; it leaves an mmcv that has them
alone. With such an mmcv, take "mmcv_ops_0b764476" out of this file and delete the other.
"""

_base_ = 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco.py'

def _have(name):
    """Imports a module that lies beside this file, or is on the path; whether there is one."""
    import filecmp
    import importlib.util
    import os
    import sys

    for folder in (r"""{{ fileDirname }}""",):
        file = os.path.join(folder, f"{name}.py")
        if not os.path.isfile(file):
            continue
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, file)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        other = sys.modules[name].__file__
        if os.path.isfile(other) and not filecmp.cmp(file, other, shallow=False):
            raise ImportError(f"{file} is not {other}, which is imported under its name: rename one of them")
        return True
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        return False
    return True


list(map(_have, ['mmcv_ops_0b764476', 'portable_config_bc7ecc83', 'training_state_009e94d1', 'class_balanced_focal_losses_bfc119ba']))
custom_hooks = [
    dict(type='TrainingState_009e94d1'),
    dict(type='PortableConfig_bc7ecc83'),
]
custom_imports = dict(
    allow_failed_imports=False,
    imports=[
        'mmcv_ops_0b764476',
        'portable_config_bc7ecc83',
        'training_state_009e94d1',
        'class_balanced_focal_losses_bfc119ba',
    ])
model = dict(
    bbox_head=dict(
        loss_cls=dict(
            _delete_=True,
            loss_weight=0.400149,
            type='ClassBalancedFocalClassLoss_bfc119ba',
            use_sigmoid=True),
        type='ClassBalancedFocalFCOSHead_bfc119ba'))
