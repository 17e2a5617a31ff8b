//! Few: one metric for each of a few cases, told apart by a label.

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};
use std::fmt::{self, Debug};
use std::marker::PhantomData;
use std::sync::Arc;

/// The cases of a label: few, and known beforehand.
pub(crate) trait Case: Copy + Debug + Send + Sync + 'static {
    /// What the label is called.
    const LABEL: &'static str;
    /// Its values.
    const VALUES: &'static [&'static str];

    /// Which of the values this is.
    fn index(self) -> usize;
}

/// A metric for each case; a clone counts in the same ones.
pub(crate) struct Few<C, M> {
    each: Arc<[M]>,
    cases: PhantomData<fn(C)>,
}

impl<C: Case, M> Few<C, M> {
    /// The metric of a case.
    pub(crate) fn of(&self, case: C) -> &M {
        // A case has a value: the tests of each say so.
        &self.each[case.index()]
    }
}

impl<C: Case, M: Default> Default for Few<C, M> {
    fn default() -> Self {
        Self { each: C::VALUES.iter().map(|_| M::default()).collect(), cases: PhantomData }
    }
}

impl<C, M> Clone for Few<C, M> {
    fn clone(&self) -> Self {
        Self { each: Arc::clone(&self.each), cases: PhantomData }
    }
}

impl<C, M: Debug> Debug for Few<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.each.iter()).finish()
    }
}

impl<C: Case, M: EncodeMetric + TypedMetric> EncodeMetric for Few<C, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (value, metric) in C::VALUES.iter().zip(self.each.iter()) {
            let label = [(C::LABEL, *value)];
            metric.encode(encoder.encode_family(&label)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}
