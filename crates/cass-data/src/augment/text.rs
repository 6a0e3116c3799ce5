//! Pipelines as text: in recipes and in arguments.

use super::{Pipeline, Transform};
use crate::{Error, Result};
use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

impl FromStr for Pipeline {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "paper" => Self::Paper,
            "paper-hue" => Self::PaperHue,
            "paper-solarize" => Self::PaperSolarize,
            "paper-blur" => Self::PaperBlur,
            "paper-blur-solarize" => Self::PaperBlurSolarize,
            "crops" => Self::Crops,
            "eval" => Self::Eval,
            "dino" => Self::Dino,
            "byol" => Self::Byol,
            _ => {
                return Err(Error::UnknownPipeline {
                    name: name.to_owned(),
                    known: Self::NAMES.join(", "),
                });
            }
        })
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Paper => "paper",
            Self::PaperHue => "paper-hue",
            Self::PaperSolarize => "paper-solarize",
            Self::PaperBlur => "paper-blur",
            Self::PaperBlurSolarize => "paper-blur-solarize",
            Self::Crops => "crops",
            Self::Eval => "eval",
            Self::Dino => "dino",
            Self::Byol => "byol",
            Self::Views(views) => return write!(f, "{} views", views.len()),
            Self::Transforms(transforms) => return write!(f, "{} transforms", transforms.len()),
        })
    }
}

impl Serialize for Pipeline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Transforms(transforms) => transforms.serialize(serializer),
            Self::Views(views) => views.serialize(serializer),
            named => serializer.collect_str(named),
        }
    }
}

impl<'de> Deserialize<'de> for Pipeline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Part::deserialize(deserializer)? {
            Part::Pipeline(pipeline) => Ok(pipeline),
            Part::Transform(_) => Err(de::Error::custom(EXPECTED)),
        }
    }
}

const EXPECTED: &str = "expected a pipeline's name, a list of transforms or a list of views";

/// What stands in a recipe where a pipeline or a part of one may.
enum Part {
    Pipeline(Pipeline),
    Transform(Transform),
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Part;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a pipeline's name, a list of transforms or a list of views")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Part, E> {
                let named = name.parse().map(Part::Pipeline);
                named.map_err(|_| E::unknown_variant(name, Pipeline::NAMES))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
                Transform::deserialize(MapAccessDeserializer::new(map)).map(Part::Transform)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Part, A::Error> {
                let (mut transforms, mut views) = (Vec::new(), Vec::new());
                while let Some(part) = list.next_element()? {
                    match part {
                        Part::Transform(transform) => transforms.push(transform),
                        Part::Pipeline(view) => views.push(view),
                    }
                }
                match (transforms.is_empty(), views.is_empty()) {
                    (_, true) => Ok(Part::Pipeline(Pipeline::Transforms(transforms.into()))),
                    (true, false) => Ok(Part::Pipeline(Pipeline::Views(views.into()))),
                    (false, false) => Err(de::Error::custom(EXPECTED)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
