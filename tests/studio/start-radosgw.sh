#!/bin/bash
# start-radosgw.sh DIR PORT: Ceph with one monitor, manager, OSD (in memory) and its S3 gateway on 127.0.0.1:PORT; the other
# ports are some of the 99 after it. Key STUDIOKEY, secret studio-secret. As root, without systemd; about 15 s and 500 MB. Packages:
# ceph-mon ceph-mgr ceph-osd radosgw. stop-radosgw.sh DIR ends it, by the pids in DIR/run.
set -eu
directory=${1:?directory}
port=${2:?port}
id=$(cat /proc/sys/kernel/random/uuid)
mkdir -p "$directory"/{mon,mgr,osd,rgw,run}
cat >"$directory/ceph.conf" <<END
[global]
fsid = $id
mon host = [v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]
mon initial members = a
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
keyring = $directory/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 1
log file = $directory/\$name.log
pid file = $directory/run/\$name.pid
admin socket = $directory/run/\$name.asok
run dir = $directory/run
crash dir = $directory/run
ms bind port min = $((port + 3))
ms bind port max = $((port + 99))
osd objectstore = memstore
memstore device bytes = 4294967296
osd op num shards = 2
osd op num threads per shard = 1
mgr initial modules =
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 16
mon data = $directory/mon
mgr data = $directory/mgr
osd data = $directory/osd
rgw data = $directory/rgw
END
export CEPH_CONF=$directory/ceph.conf
keyring=$directory/keyring
ceph-authtool -C "$keyring" -g -n mon. --cap mon 'allow *' >/dev/null
ceph-authtool "$keyring" -g -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
ceph-authtool "$keyring" -g -n mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *' >/dev/null
ceph-authtool "$keyring" -g -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow profile osd' >/dev/null
ceph-authtool "$keyring" -g -n client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx' >/dev/null
monmaptool --create --fsid "$id" --addv a "[v2:127.0.0.1:$((port + 1)),v1:127.0.0.1:$((port + 2))]" "$directory/monmap" >/dev/null
ceph-mon -i a --mkfs --monmap "$directory/monmap" --keyring "$keyring"
ceph-mon -i a
for name in mgr.x osd.0 client.rgw.a; do ceph --connect-timeout 20 auth add $name -i "$keyring" >/dev/null 2>&1; done
ceph-mgr -i x
osd=$(cat /proc/sys/kernel/random/uuid)
ceph osd new "$osd" 0 >/dev/null
ceph-osd -i 0 --mkfs --osd-uuid "$osd" >/dev/null 2>&1
ceph osd crush add osd.0 1.0 root=default host=here >/dev/null 2>&1
ceph-osd -i 0 >/dev/null
timeout 90 radosgw -n client.rgw.a -k "$keyring"
for _ in $(seq 240); do
    curl -sf -o /dev/null "http://127.0.0.1:$port/" && break
    sleep 0.5
done
timeout 90 radosgw-admin user create --uid=studio --display-name=studio --access-key=STUDIOKEY \
    --secret-key=studio-secret >/dev/null 2>&1
