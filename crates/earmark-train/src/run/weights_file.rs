//! Weights of other programs to start from: a torchvision state dict, safetensors or npz, by names.

use std::io::Read as _;
use std::path::Path;

use earmark::Result;
use earmark::model::{Architecture, Role, Tensor, Weights, import};

/// Whether a file holds weights rather than a bundle.
pub(super) fn is_one(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    fs_err::File::open(path)?.take(9).read_to_end(&mut start)?;
    Ok(matches!(
        start.as_slice(),
        [b'P', b'K', 3, 4, ..] | [_, _, _, _, _, _, _, _, b'{'] | [0x80, 2..=5, ..]
    ))
}

/// The weights of a file. The first convolution is fitted to the number of channels of the network's
/// input: its kernels are added up over the file's channels and shared out to the network's, so that
/// equal channels give what they gave.
pub(super) fn read(path: &Path, architecture: &Architecture) -> Result<Weights> {
    let mut weights = import::read(path)?;
    let plan = architecture.plan()?;
    let mut kernels = plan
        .parameters
        .iter()
        .filter(|parameter| matches!(parameter.role, Role::ConvWeight { .. }));
    if let Some(first) = kernels.next()
        && let Some(tensor) = weights.get(&first.name)
        && let Some(fitted) = with_channels(tensor, &first.shape)?
    {
        weights.insert(first.name.clone(), fitted);
    }
    Ok(weights)
}

/// A kernel `[out, in, …]` with another number of input channels; none where it fits or something
/// else is different.
fn with_channels(kernel: &Tensor, wanted: &[usize]) -> Result<Option<Tensor>> {
    let (&[out, from, ref rest @ ..], &[wanted_out, to, ref wanted_rest @ ..]) =
        (kernel.shape(), wanted)
    else {
        return Ok(None);
    };
    if out != wanted_out || rest != wanted_rest || from == to || from == 0 {
        return Ok(None);
    }
    let n_inside: usize = rest.iter().product();
    let mut values = Vec::with_capacity(out * to * n_inside);
    for filter in kernel.data().chunks(from * n_inside) {
        let shared: Vec<f32> = (0..n_inside)
            .map(|at| filter.iter().skip(at).step_by(n_inside).sum::<f32>() / to as f32)
            .collect();
        (0..to).for_each(|_| values.extend(&shared));
    }
    Tensor::new(wanted.to_vec(), values).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_added_up_and_shared_out() -> Result<()> {
        let kernel = Tensor::new(vec![1, 3, 1, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
        let grey = with_channels(&kernel, &[1, 1, 1, 2])?.map(Tensor::into_data);
        assert_eq!(grey, Some(vec![9.0, 12.0]));
        let two = with_channels(&kernel, &[1, 2, 1, 2])?.map(Tensor::into_data);
        assert_eq!(two, Some(vec![4.5, 6.0, 4.5, 6.0]));
        assert_eq!(with_channels(&kernel, &[1, 3, 1, 2])?, None);
        assert_eq!(with_channels(&kernel, &[1, 1, 2, 2])?, None);
        Ok(())
    }
}
