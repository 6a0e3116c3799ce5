use super::proto::{
    AttributeProto, Dimension, DimensionProto, FLOAT, GraphProto, INT64, NodeProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// A setting of a node.
pub(super) enum Attribute {
    Float(f64),
    Int(i64),
    Ints(Vec<i64>),
}

/// A graph in the making. Every node has one output, which has the node's name.
#[derive(Default)]
pub(super) struct Graph {
    proto: GraphProto,
    /// What names of nodes begin with.
    pub(super) scope: String,
}

impl Graph {
    /// Adds a node and gives the name of its output.
    pub(super) fn node(
        &mut self,
        kind: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
    ) -> String {
        let (number, slash) = (
            self.proto.node.len(),
            if self.scope.is_empty() { "" } else { "/" },
        );
        let name = format!("{}{slash}{kind}_{number}", self.scope);
        self.named(name.clone(), kind, inputs, attributes);
        name
    }

    /// Gives `value` a name of its own.
    pub(super) fn alias(&mut self, name: &str, value: &str) {
        self.named(name.into(), "Identity", &[value], vec![]);
    }

    fn named(
        &mut self,
        name: String,
        kind: &str,
        inputs: &[&str],
        attributes: Vec<(&str, Attribute)>,
    ) {
        let attribute = attributes.into_iter().map(|(name, value)| {
            let empty = AttributeProto {
                name: name.into(),
                ..AttributeProto::default()
            };
            match value {
                Attribute::Float(f) => AttributeProto {
                    f: Some(f as f32),
                    r#type: 1,
                    ..empty
                },
                Attribute::Int(i) => AttributeProto {
                    i: Some(i),
                    r#type: 2,
                    ..empty
                },
                Attribute::Ints(ints) => AttributeProto {
                    ints,
                    r#type: 7,
                    ..empty
                },
            }
        });
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![name.clone()],
            op_type: kind.into(),
            attribute: attribute.collect(),
            name,
        });
    }

    /// Adds a tensor under a name.
    pub(super) fn tensor(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(name.into(), dims, FLOAT, raw);
    }

    /// Adds a tensor and gives its name.
    pub(super) fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        let name = self.constant_name();
        self.tensor(&name, dims, values);
        name
    }

    /// Adds one number, as f32, and gives its name.
    pub(super) fn float(&mut self, value: f64) -> String {
        self.floats(&[], &[value as f32])
    }

    /// Adds a list of whole numbers and gives its name.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        let (name, raw) = (
            self.constant_name(),
            values.iter().flat_map(|v| v.to_le_bytes()),
        );
        self.initializer(name.clone(), &[values.len()], INT64, raw.collect());
        name
    }

    /// Adds one whole number and gives its name.
    pub(super) fn int(&mut self, value: i64) -> String {
        let name = self.constant_name();
        self.initializer(name.clone(), &[], INT64, value.to_le_bytes().to_vec());
        name
    }

    fn constant_name(&self) -> String {
        format!("constant_{}", self.proto.initializer.len())
    }

    fn initializer(&mut self, name: String, dims: &[usize], data_type: i32, raw_data: Vec<u8>) {
        self.proto.initializer.push(TensorProto {
            dims: dims.iter().map(|&d| d as i64).collect(),
            data_type,
            name,
            raw_data,
        });
    }

    /// The whole graph, with what goes in and comes out: `(batch, ...)` each.
    pub(super) fn finish(
        self,
        name: &str,
        input: (&str, &[usize]),
        outputs: &[(&str, usize)],
    ) -> GraphProto {
        let outputs = outputs
            .iter()
            .map(|&(name, width)| batch_of(name, &[width]));
        GraphProto {
            name: name.into(),
            input: vec![batch_of(input.0, input.1)],
            output: outputs.collect(),
            ..self.proto
        }
    }
}

/// A tensor of as many of `shape` as anyone likes.
fn batch_of(name: &str, shape: &[usize]) -> ValueInfoProto {
    let sizes = shape.iter().map(|&size| Dimension::Value(size as i64));
    let dims = [Dimension::Param("batch".into())].into_iter().chain(sizes);
    let dim = dims.map(|value| DimensionProto { value: Some(value) });
    let tensor_type = Some(TensorTypeProto {
        elem_type: FLOAT,
        shape: Some(TensorShapeProto { dim: dim.collect() }),
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { tensor_type }),
    }
}
