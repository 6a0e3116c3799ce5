//! BYOL's two views as transforms.

use super::crops::cropped;
use super::paper::{blur, solarize};
use super::transform::Transform;

/// Grill et al. 2020, table 6, in the order of `facebookresearch/vicreg`.
pub(crate) fn byol() -> [Vec<Transform>; 2] {
    let both = cropped(0.08, 0.2);
    let mut views = [both.clone(), both];
    views[0].push(blur(1.0));
    views[1].extend([blur(0.1), solarize(0.2)]);
    views
}
