//! Nothing happens: what an election costs while nothing goes wrong, with few replicas and with many.

use std::time::Duration;

use still_leading_testbed::Timings;

use crate::matrix::fault::Fault;
use crate::matrix::needs::{Needs, Start};

/// So long it is measured: many renewals at any timings that are tried.
const WINDOW: Duration = Duration::from_secs(60);

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    [3, 30, 100].into_iter().map(|replicas| Box::new(Rest { replicas }) as Box<dyn Fault>).collect()
}

#[derive(Debug)]
struct Rest {
    replicas: usize,
}

impl Fault for Rest {
    fn name(&self) -> String {
        format!("rest-{}", self.replicas)
    }

    fn what(&self) -> String {
        format!("Nothing happens to {} replicas for a minute.", self.replicas)
    }

    fn needs(&self) -> Needs {
        Needs { start: Start::Led { replicas: self.replicas }, ..Needs::default() }
    }

    /// Replicas at rest do little: a hundred of them take the machine less than ten fleets under a fault do.
    fn weight(&self) -> usize {
        self.replicas.div_ceil(12)
    }

    fn lasts(&self, _: Timings) -> Duration {
        WINDOW
    }
}
