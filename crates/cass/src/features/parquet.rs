//! A table of features as a Parquet file.

use parquet::data_type::{ByteArray, ByteArrayType, DataType, FloatType};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::sync::Arc;

/// What stands in front of an image's features: its file, label and group, the latter two empty where it has none.
pub type Row = [String; 3];

/// A file with the columns `file`, `label` and `group`, text and null where there is none, and then `f0`, `f1` and so on,
/// of float32: `features` is row-major, `dim` values a row. Nothing is compressed, so that anything reads it.
pub fn table(rows: &[Row], features: &[f32], dim: usize) -> Result<Vec<u8>> {
    let columns: String = (0..dim).map(|i| format!("REQUIRED FLOAT f{i};")).collect();
    let schema = format!(
        "message features {{ REQUIRED BYTE_ARRAY file (STRING); OPTIONAL BYTE_ARRAY label (STRING); \
         OPTIONAL BYTE_ARRAY group (STRING); {columns} }}"
    );
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_created_by(concat!("cass ", env!("CARGO_PKG_VERSION")).into());
    let schema = Arc::new(parse_message_type(&schema)?);
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties.build()))?;
    let mut group = file.next_row_group()?;
    for place in 0..3 {
        let all = rows.iter().map(|row| row[place].as_str());
        let there: Vec<i16> = all
            .clone()
            .map(|text| i16::from(!text.is_empty()))
            .collect();
        let is_optional = place > 0;
        let texts = all.filter(|text| !is_optional || !text.is_empty());
        let texts: Vec<ByteArray> = texts.map(ByteArray::from).collect();
        column::<ByteArrayType>(&mut group, &texts, is_optional.then_some(&there))?;
    }
    for place in 0..dim {
        let values: Vec<f32> = features.iter().skip(place).step_by(dim).copied().collect();
        column::<FloatType>(&mut group, &values, None)?;
    }
    group.close()?;
    file.into_inner()
}

/// Writes the next column; `there` says for each row of an optional one whether it has a value.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<Vec<u8>>,
    values: &[T::T],
    there: Option<&Vec<i16>>,
) -> Result<()> {
    if let Some(mut column) = group.next_column()? {
        column
            .typed::<T>()
            .write_batch(values, there.map(Vec::as_slice), None)?;
        column.close()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    #[test]
    fn a_reader_finds_every_column_and_null_where_nothing_is_known() {
        let rows = [
            ["a.png", "glioma", "p1"],
            ["ü.png", "", ""],
            ["c.png", "no|yes", ""],
        ];
        let rows = rows.map(|row| row.map(str::to_owned));
        let features = [1.5, -2.0, 0.0, f32::MIN_POSITIVE, 1e30, -0.25];
        let bytes = table(&rows, &features, 2).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, &bytes).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let read: Vec<Vec<(String, Field)>> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().into_columns())
            .collect();
        assert_eq!(read.len(), 3);
        let text = |text: &str| Field::Str(text.into());
        for (i, row) in read.iter().enumerate() {
            let names: Vec<&str> = row.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["file", "label", "group", "f0", "f1"]);
            let values: Vec<&Field> = row.iter().map(|(_, value)| value).collect();
            assert_eq!(*values[0], text(&rows[i][0]));
            for place in [1, 2] {
                let known = Some(&rows[i][place]).filter(|text| !text.is_empty());
                assert_eq!(
                    *values[place],
                    known.map_or(Field::Null, |known| text(known))
                );
            }
            assert_eq!(*values[3], Field::Float(features[2 * i]));
            assert_eq!(*values[4], Field::Float(features[2 * i + 1]));
        }
    }
}
