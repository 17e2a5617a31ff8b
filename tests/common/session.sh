# A desktop session in namespaces of its own: session.sh USER UNIT PROGRAM NAME DISPLAY. What is
# mounted here is gone with it. Says "possible" when there are namespaces and cgroups for it, and
# "ready" when the user's service manager hears.
set -eu
user=$1 unit=$(cat "$2") program=$3 cgroup=/sys/fs/cgroup/$4 display=$5
home=/home/watched runtime=/run/user/$user

mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "$cgroup"
echo 0 >"$cgroup/cgroup.procs"
chown -R "$user:$user" "$cgroup"
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
touch /usr/local/bin/hightower
mount --bind "$program" /usr/local/bin/hightower
mount -t tmpfs -o mode=755 tmpfs /home
mount -t tmpfs -o mode=755 tmpfs /run
# The session bus wants to know its user's name.
{ cat /etc/passwd && echo "watched:x:$user:$user::$home:/bin/sh"; } >/run/passwd
mount --bind /run/passwd /etc/passwd
echo possible

# The unit where a user puts it, and a desktop's own target, which is what starts the session's.
units=$home/.config/systemd/user
mkdir -p "$units/hightower-agent.service.d" "$runtime" /run/systemd/system /run/systemd/unit-root
printf '%s\n' "$unit" >"$units/hightower-agent.service"
# Here is no journal to read its words in.
printf '[Service]\nStandardError=append:%s/log\n' "$home" >"$units/hightower-agent.service.d/log.conf"
printf '[Unit]\nBindsTo=graphical-session.target\n' >"$units/desk.target"
echo 'What nobody else should read.' >"$home/diary"
chown -R "$user:$user" "$home" "$runtime"
chmod 700 "$home" "$runtime"

cd "$home"
setpriv --reuid "$user" --regid "$user" --clear-groups \
    env -i HOME="$home" XDG_RUNTIME_DIR="$runtime" PATH="$PATH" DISPLAY="$display" \
    SYSTEMD_LOG_TARGET=console /usr/lib/systemd/systemd --user &
until [ -S "$runtime/systemd/private" ]; do
    kill -0 $!
    sleep 0.05
done
echo ready
wait
