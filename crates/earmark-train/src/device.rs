//! Where training runs: a name such as `cpu` in, a device that is there out.
//!
//! The processor is always there. Graphics cards need the cargo feature of their kind and a driver;
//! both are looked for before the first tensor is made, because a missing driver would otherwise
//! end in a panic deep inside the framework.

use burn::tensor::Device;
use earmark::{Error, Result};

/// A kind of device that `--device` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The processor, all its cores.
    #[default]
    Cpu,
    /// The first graphics card that Vulkan reports.
    Vulkan,
    /// The first NVIDIA card.
    Cuda,
}

impl DeviceChoice {
    /// All kinds, whether built in or not.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Vulkan, Self::Cuda];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Vulkan => "vulkan",
            Self::Cuda => "cuda",
        }
    }

    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Device`] if this build lacks the kind, or the machine a driver or card.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::Vulkan => vulkan(),
            Self::Cuda => cuda(),
        }
    }
}

impl std::str::FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.name() == name)
            .ok_or_else(|| Error::Config {
                key: "device".to_owned(),
                found: format!("`{name}`"),
                expected: "must be `cpu`, `vulkan` or `cuda`".to_owned(),
            })
    }
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Result<Device> {
    use burn::tensor::DeviceType;
    first_found("vulkan", DeviceType::Vulkan)
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<Device> {
    Err(not_built("vulkan"))
}

#[cfg(feature = "cuda")]
fn cuda() -> Result<Device> {
    use burn::tensor::DeviceType;
    first_found("cuda", DeviceType::Cuda)
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device> {
    Err(not_built("cuda"))
}

#[cfg(not(all(feature = "vulkan", feature = "cuda")))]
fn not_built(name: &str) -> Error {
    Error::Device {
        reason: format!("this build has no `{name}`; build with `--features {name}`, or use `cpu`"),
    }
}

/// The first device of a kind. A driver library that is missing or broken makes the framework panic
/// while it looks; that counts as no device.
#[cfg(any(feature = "vulkan", feature = "cuda"))]
fn first_found(name: &str, kind: burn::tensor::DeviceType) -> Result<Device> {
    let found = std::panic::catch_unwind(|| Device::enumerate(kind).into_iter().next());
    match found {
        Ok(Some(device)) => Ok(device),
        Ok(None) | Err(_) => Err(Error::Device {
            reason: format!("no `{name}` driver with a graphics card found; use `cpu`"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_unknown_ones_listed() {
        assert_eq!("cpu".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cpu);
        let error = "gpu".parse::<DeviceChoice>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "device is `gpu`, must be `cpu`, `vulkan` or `cuda`"
        );
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_kind_that_is_not_built_in_says_how_to_get_it() {
        let error = DeviceChoice::Cuda.open().unwrap_err();
        assert!(error.to_string().contains("--features cuda"), "{error}");
    }
}
