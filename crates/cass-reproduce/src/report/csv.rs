//! `results.csv`: one line a cell and score.

use crate::results::Results;
use anyhow::Result;
use cass_run::for_spreadsheet;

pub fn csv(results: &Results) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "table",
        "profile",
        "protocol",
        "downstream",
        "row",
        "column",
        "data",
        "method",
        "arm",
        "backbone",
        "fraction",
        "metric",
        "mean",
        "std",
        "n",
        "values",
        "paper_mean",
        "paper_std",
        "delta",
        "missing",
    ])?;
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for cell in &results.cells {
        let start = [
            cell.table.clone(),
            results.profile.clone(),
            results.protocol.name().to_owned(),
            cell.downstream.name().to_owned(),
            cell.row.clone(),
            cell.column.clone(),
            cell.data.map(|data| data.to_string()).unwrap_or_default(),
            cell.method.clone(),
            cell.arm.map(|arm| arm.to_string()).unwrap_or_default(),
            cell.backbone.clone(),
            cell.fraction.to_string(),
        ];
        let values: Vec<_> = cell.values.iter().map(f64::to_string).collect();
        let headline = [
            cell.metric.clone(),
            number(cell.mean),
            number(cell.std),
            cell.n.to_string(),
            values.join(" "),
            number(cell.paper_mean),
            number(cell.paper_std),
            number(cell.delta),
            cell.missing.join("; "),
        ];
        let fields = start.iter().chain(&headline);
        writer.write_record(fields.map(|field| for_spreadsheet(field).into_owned()))?;
        for (metric, mean) in &cell.other {
            let mut rest = [const { String::new() }; 9];
            rest[0] = metric.to_string();
            rest[1] = mean.to_string();
            rest[3] = cell.n.to_string();
            let fields = start.iter().chain(&rest);
            writer.write_record(fields.map(|field| for_spreadsheet(field).into_owned()))?;
        }
    }
    Ok(writer.into_inner()?)
}
