//! Everything that a scrape tells, in one of two forms.

use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::fold::{Sample, Samples, fold};
use super::names::FamilyId;
use super::{Metrics, openmetrics, process, text};
use crate::config::Config;

/// The names that configuration gives to label values, by id.
#[derive(Clone, Debug)]
pub struct Labels {
    pub(crate) issuers: Vec<String>,
    pub(crate) listeners: Vec<String>,
    pub(crate) gateways: Vec<String>,
}

impl Labels {
    /// Those of `config`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            issuers: config
                .issuers
                .iter()
                .map(|issuer| issuer.name.clone())
                .collect(),
            listeners: config
                .listeners
                .iter()
                .map(|listener| listener.name.clone())
                .collect(),
            gateways: config
                .gateways
                .iter()
                .map(|gateway| gateway.name.clone())
                .collect(),
        }
    }
}

/// Knows a family better than the blocks do: asked at each scrape.
pub(crate) trait Source: Send + Sync + std::fmt::Debug {
    /// Its samples, when it is one of this source's.
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>>;
}

/// All writers, and what else a scrape tells.
#[derive(Debug)]
pub struct Exposition {
    labels: Labels,
    shards: Vec<Metrics>,
    control: Vec<Metrics>,
    sources: Vec<Box<dyn Source>>,
}

impl Exposition {
    /// Over the writers of the shards, in their order; makes one more per shard for the control
    /// plane.
    #[must_use]
    pub fn new(labels: Labels, shards: Vec<Metrics>) -> Self {
        let control = shards.iter().map(|_| Metrics::new()).collect();
        let sources: Vec<Box<dyn Source>> = vec![Box::new(process::Process)];
        Self {
            labels,
            shards,
            control,
            sources,
        }
    }

    /// Adds a source for families that are not counted in blocks.
    pub(crate) fn add_source(&mut self, source: impl Source + 'static) {
        self.sources.push(Box::new(source));
    }

    /// The control plane's own writer for what it knows of a shard; `None` beyond the last one.
    #[must_use]
    pub fn control(&self, shard: usize) -> Option<&Metrics> {
        self.control.get(shard)
    }

    /// `text/plain; version=0.0.4`.
    #[must_use]
    pub fn text(&self) -> String {
        text::write(&self.samples())
    }

    /// `application/openmetrics-text; version=1.0.0`.
    ///
    /// # Errors
    /// None that the encoder's writer could have; its signature has one.
    pub fn openmetrics(self: &Arc<Self>) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(openmetrics::Scrape(Arc::clone(self))));
        let mut out = String::with_capacity(256 * 1024);
        prometheus_client::encoding::text::encode(&mut out, &registry)?;
        Ok(out)
    }

    pub(crate) fn samples(&self) -> Vec<Samples> {
        let pairs = self.shards.iter().zip(&self.control);
        let shards: Vec<Vec<&Metrics>> = pairs.map(|(data, own)| vec![data, own]).collect();
        let family = |id: &FamilyId| {
            let told = self.sources.iter().find_map(|source| source.samples(*id));
            told.map_or_else(
                || fold(*id, &shards, &self.labels),
                |samples| Samples {
                    family: id.family(),
                    samples,
                },
            )
        };
        FamilyId::ALL.iter().map(family).collect()
    }
}
