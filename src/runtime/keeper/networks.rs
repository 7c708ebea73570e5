//! A container that joins or leaves networks while it is kept: its record has been changed, and the keeper follows.

use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd as _;

use crate::keeper::control::Reply;
use crate::keeper::launch;
use crate::keeper::ready::sentence;
use crate::keeper::run::Keeper;
use crate::network::names::server::NameServer;
use crate::network::{self, files, ports};
use crate::state::container::{ContainerRecord, NetworkModeRecord};
use crate::state::record;

type Failure = Box<dyn Error + Send + Sync>;

impl Keeper<'_> {
    /// Joins and leaves networks as the record on disk says.
    pub(super) fn settle_networks(&mut self) -> Reply {
        match self.follow_networks() {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Failed { message: sentence(&*error) },
        }
    }

    fn follow_networks(&mut self) -> Result<(), Failure> {
        let Some(record) = record::read::<ContainerRecord>(&self.bundle.record())? else { return Ok(()) };
        let netns = match &self.run {
            Some(run) => Some(File::open(format!("/proc/{}/ns/net", run.init.pid))?),
            None => None,
        };
        if netns.is_none() && self.place.take().is_some() {
            // The next run was to be where the last one was, which is on other networks.
            launch::unplug(self.rt, &self.record);
        }
        let endpoints = network::settle(self.rt, &record, netns.as_ref().map(File::as_fd))?;
        if let Some(targets) = ports::lead_anew(self.rt, &record.id, &endpoints)?
            && let Some(proxy) = &mut self.held.proxy
        {
            proxy.lead_to(&targets);
        }
        let is_networked = matches!(&record.network, NetworkModeRecord::Networks(networks) if !networks.is_empty());
        if let (Some(netns), Some(run)) = (&netns, &mut self.run) {
            let upstream = files::upstream(&record, &files::host_resolv_conf());
            match &mut run.names {
                Some(names) => names.look_again(self.rt, &record.id, upstream)?,
                None if is_networked => {
                    run.names = Some(NameServer::open(self.rt, &record.id, netns.as_fd(), upstream)?);
                }
                None => {}
            }
        }
        self.record.network = record.network;
        Ok(())
    }
}
