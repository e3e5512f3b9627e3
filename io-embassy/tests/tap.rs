//! A device on an Ethernet that the kernel of this machine is on too: a TAP device. It takes root's
//! rights and `/dev/net/tun`; where they are missing the test says so, and passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::io::ErrorKind;
use std::process::Command;

use aire_embassy::{Options, Resources, Server};
use embassy_net::{Ipv4Cidr, StackResources, StaticConfigV4};
use embassy_net_tuntap::TunTapDevice;
use support::world::options;
use support::{Rng, builder, certificate, run, spawn, unix_now};

const NAME: &str = "aire-tap0";
const HOST: [u8; 4] = [10, 77, 0, 1];
const DEVICE: [u8; 4] = [10, 77, 0, 2];

/// The TAP device, with the host on it; `None` where that is not allowed.
fn device() -> Option<TunTapDevice> {
    let device = match TunTapDevice::new(NAME) {
        Ok(device) => device,
        Err(error) => {
            let kinds = [ErrorKind::PermissionDenied, ErrorKind::NotFound];
            assert!(kinds.contains(&error.kind()), "no TAP device: {error}");
            return None;
        }
    };
    for args in [
        &["addr", "add", "10.77.0.1/24", "dev", NAME][..],
        &["link", "set", "dev", NAME, "up"],
    ] {
        let done = Command::new("ip").args(args).status();
        assert!(
            done.expect("iproute2 is installed").success(),
            "ip {args:?}"
        );
    }
    Some(device)
}

#[test]
fn a_device_on_an_ethernet_talks_to_a_node_of_this_machine() {
    run(async |spawner| {
        let Some(device) = device() else {
            println!("skipped: no right to make a TAP device");
            return;
        };
        let certificate = certificate();
        let node = builder(&certificate).listen((HOST, 0).into()).unwrap();
        let host: &'static str = Box::leak(node.address().to_string().into_boxed_str());
        let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
            address: Ipv4Cidr::new(DEVICE.into(), 24),
            gateway: None,
            dns_servers: heapless::Vec::new(),
        });
        let memory: &'static mut StackResources<4> = Box::leak(Box::new(StackResources::new()));
        let (stack, mut runner) = embassy_net::new(device, config, memory, 1);
        spawn(spawner, async move { runner.run().await });
        let options = Options {
            server: Server::parse(host).unwrap(),
            incoming: 1,
            ..options(&certificate)
        };
        type Device = Resources<2, 3>;
        let resources: &'static mut Device = Box::leak(Box::new(Resources::new()));
        let (handle, mut runner) = aire_embassy::new(stack, resources, options, Rng::new(1));
        handle.set_unix_time(unix_now());
        spawn(spawner, async move { runner.run().await });

        let frame = Rng::new(2).bytes(50_000);
        let operation = handle.invoke("mirror", "it", b"").await.unwrap();
        operation.send(&frame).await.unwrap();
        operation.finish().unwrap();
        let mut back = vec![0; frame.len()];
        assert_eq!(operation.recv_frame(&mut back).await, Ok(Some(frame.len())));
        assert!(back == frame);
        assert_eq!(operation.ended().await, Ok(()));
    });
}
