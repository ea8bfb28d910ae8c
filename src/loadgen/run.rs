//! Runs a plan from start to end.
use super::api::{Api, Error};
use super::context::RunContext;
use super::plan::{Plan, Task};
use super::platform::Platform;
use super::report::Report;
use super::setting::Surroundings;
use super::workload::Shape;
use super::{events, overwrite};
use crate::clock::Clock;

/// Runs the plan. The sellers that it creates, and all their records, are kept.
///
/// # Errors
/// If the run could not be completed. If it was completed and found something wrong, the report says so.
pub async fn run(plan: Plan) -> Result<Report, Error> {
    plan.check().map_err(Error::Plan)?;
    let mut name = [0u8; 4];
    getrandom::fill(&mut name).map_err(|e| Error::Internal(e.to_string()))?;
    let (api, platform, clock) = (Api::new(&plan.service, plan.patience)?, Platform::new(&plan)?, Clock::system());
    let before = platform.prepare(&plan).await?;
    let surroundings = Surroundings::find(&api, &platform, &clock).await;
    let context = RunContext { api, platform, clock, run: hex::encode(name), surroundings, plan: &plan };
    let report = match plan.task {
        Task::Events { count, batch, rate, zipf, mix, repeat } => {
            events::run(&context, &Shape { count, batch, zipf, mix, repeat }, rate).await.map(Report::Events)
        }
        Task::Overwrite { timed } => overwrite::run(&context, timed).await.map(Report::Overwrite),
    };
    // The platform's faults are restored even if the run failed.
    context.platform.set_faults(&before).await?;
    report
}
