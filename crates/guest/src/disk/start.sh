#!/bin/sh
# Starts the probe from this read-only drive. By any Bourne shell since about 2005; run by root, from
# cloud-init or from a login. The file `channel` beside it says where the probe is to be reached.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# The probe for this kernel. One of 64 bits runs the program of 32 bits as well, if it was built so.
case $(uname -m) in
i?86) program=hospitium-probe-x86 ;;
*) program=hospitium-probe ;;
esac

say() { echo "hospitium: $*" >/dev/console 2>/dev/null; }

# So that later boots need neither of the two ways in: the guest's init starts the probe as soon as the local file
# systems are checked and mounted, and a check that restarts the guest waits for no more than that. Where it
# can't be started from there, the way in is as at the first boot.
units=/etc/systemd/system
kept=/var/lib/hospitium
unit=hospitium-again.service
# There in a boot in which the probe is started from here: systemd takes up the unit if it reads its units again.
first=/run/hospitium-first

# What is kept in the guest: the probe, for the channel in $name.
keep() {
	mkdir -m 700 $kept 2>/dev/null || return
	read -r kind name <"$1/channel"
	# A virtio port is found by its name by the probe, udev or not.
	[ "$kind" = virtio ] && name=virtio-ports/$name
	cp "$1/$program" $kept/hospitium-probe && chmod 700 $kept/hospitium-probe
}
leave_unit() {
	[ -d $units ] && : >$first && keep "$1" &&
		mkdir -p $units/sysinit.target.wants && cat >$units/$unit <<-END &&
			[Unit]
			Description=Hospitium's probe, after a restart
			DefaultDependencies=no
			ConditionPathExists=!$first
			RequiresMountsFor=$kept
			# A guest that ends in its emergency shell has not come up.
			Requires=local-fs.target
			After=local-fs.target
			Conflicts=shutdown.target
			Before=shutdown.target
			[Service]
			Nice=-20
			ExecStartPre=-/sbin/modprobe virtio_console
			ExecStart=$kept/hospitium-probe /dev/$name
			# It gives up if its channel does not appear. Nobody else would start it again.
			Restart=on-failure
			RestartSec=5
		END
		ln -s ../$unit $units/sysinit.target.wants/
}
# Without systemd: a job of upstart, or a line in the table of the older inits, whatever runs the services
# (System V's rc, OpenRC, BSD's style). In busybox's table the first field is a terminal, in System V's a name.
leave_line() {
	keep "$1" && cat >$kept/again.sh <<-END && chmod 700 $kept/again.sh || return
		#!/bin/sh
		PATH=$PATH
		modprobe virtio_console 2>/dev/null
		while :; do
			$kept/hospitium-probe /dev/$name </dev/null >/dev/null 2>&1
			sleep 1
		done
	END
	if [ -d /etc/init ] && initctl version 2>/dev/null | grep -q upstart; then
		echo "start on local-filesystems or stopped rcS
exec $kept/again.sh" >/etc/init/hospitium-again.conf
	elif [ -f /etc/inittab ] && grep -q '^[^#:]*:[^:]*:initdefault:' /etc/inittab; then
		echo "hosp::boot:$kept/again.sh" >>/etc/inittab
	elif [ -f /etc/inittab ] && grep -q '^[^#:]*::sysinit:' /etc/inittab; then
		echo "::once:$kept/again.sh" >>/etc/inittab
	else
		rm -rf $kept
	fi
}
leave() {
	if [ -d /run/systemd/system ]; then
		leave_unit "$1"
	else
		leave_line "$1"
	fi
	# A guest that is crashed on purpose writes nothing back any more.
	sync
}
# Whether the probe that was kept runs already, after a restart.
runs_again() {
	if [ -d /run/systemd/system ]; then
		[ -f $units/$unit ] && systemctl is-active --quiet $unit
		return
	fi
	for entry in /proc/[0-9]*/exe; do
		case $(readlink "$entry" 2>/dev/null) in
		$kept/*) return 0 ;;
		esac
	done
	return 1
}
# Whether the system has come up so far that it asks for a login.
asks_for_login() {
	for entry in /proc/[0-9]*/stat; do
		read -r found 2>/dev/null <"$entry" || continue
		case $found in
		*getty\)*|*login\)*) return 0 ;;
		esac
	done
	return 1
}

if [ "$1" != probe ]; then
	drive=${0%/*}
	if [ ! -f "$drive/$program" ]; then
		say "this hospitium was built without the probe for 32-bit x86 ($program is not on its drive)"
		exit 1
	fi
	if runs_again; then
		cd / && umount -l "$drive" 2>/dev/null && rmdir "$drive" 2>/dev/null
		exit 0
	fi
	# In memory first. Some distributions mount /run so that nothing in it can be executed.
	for parent in /run /dev/shm /tmp /var/tmp /root; do
		home=$parent/hospitium-probe.d
		# Whoever makes the folder starts the probe: two ways in may be tried.
		[ -f "$home/channel" ] && exit 0
		mkdir "$home" 2>/dev/null || continue
		cp /bin/true "$home/hospitium-probe" 2>/dev/null &&
			"$home/hospitium-probe" >/dev/null 2>&1 &&
			cp "$drive/$program" "$home/hospitium-probe" &&
			cp "$drive/start.sh" "$drive/channel" "$home/" &&
			chmod 700 "$home/hospitium-probe" && break
		rm -rf "$home"
		home=
	done
	if [ -z "$home" ]; then
		say "found no folder from which a program may be started"
		exit 1
	fi
	cd / || exit 1
	leave "$drive"
	# A unit of its own outlives the login or the cloud-init stage that started it.
	if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
		exec systemd-run --quiet --no-block --unit=hospitium-probe /bin/sh "$home/start.sh" probe
	fi
	if command -v setsid >/dev/null 2>&1; then
		setsid /bin/sh "$home/start.sh" probe </dev/null >/dev/null 2>&1 &
	else
		/bin/sh "$home/start.sh" probe </dev/null >/dev/null 2>&1 &
	fi
	exit 0
fi

home=${0%/*}
read -r kind name <"$home/channel"
# The machine is looked at, and saved, when it is up and not while it comes up. A system that is
# up in part ("degraded") is up.
if [ -d /run/systemd/system ]; then
	tries=0
	while [ $tries -lt 300 ]; do
		case $(systemctl is-system-running 2>/dev/null) in
		initializing | starting) sleep 0.4 2>/dev/null || sleep 1 ;;
		*) break ;;
		esac
		tries=$((tries + 1))
	done
else
	tries=0
	while [ $tries -lt 60 ] && ! asks_for_login; do
		sleep 1
		tries=$((tries + 1))
	done
fi
for mounted in /run/hospitium-drive /tmp/hospitium-drive; do
	if [ -d $mounted ]; then
		umount $mounted 2>/dev/null
		rmdir $mounted 2>/dev/null
	fi
done
port=/dev/$name
if [ "$kind" = virtio ]; then
	modprobe virtio_console 2>/dev/null
	tries=0
	while [ $tries -lt 30 ]; do
		port=/dev/virtio-ports/$name
		[ -c "$port" ] && break
		for entry in /sys/class/virtio-ports/*/name; do
			[ -f "$entry" ] || continue
			read -r found <"$entry"
			entry=${entry%/name}
			[ "$found" = "$name" ] && port=/dev/${entry##*/}
		done
		[ -c "$port" ] && break
		sleep 1
		tries=$((tries + 1))
	done
fi
if [ ! -c "$port" ]; then
	say "there is no $port for the probe; the machine's $kind channel is not seen by this system"
	exit 1
fi
exec "$home/hospitium-probe" "$port"
