#!/usr/bin/env bash
# The main job on a machine without a screen: one Xvfb is the watched machine's desktop, with real
# windows on it; another is the operator's. An agent and a viewer run as two processes, and get
# start, stop and lock. Leaves screenshots in target/demo and says where.
set -euo pipefail
cd "$(dirname "$0")/.."

# HIGHTOWER names a program that is built already; otherwise one is built.
if [ -z "${HIGHTOWER:-}" ]; then
    echo "building; the first time takes some minutes" >&2
    cargo build --locked --release
    HIGHTOWER=${CARGO_TARGET_DIR:-target}/release/hightower
fi
hightower=$(realpath "$HIGHTOWER")
out=$PWD/target/demo
mkdir -p "$out"
rm -f "$out"/*

started=()
finish() { # whatever happens, what was started is stopped
    local pid
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}
trap finish EXIT
fail() { echo "demo: $*; see the logs in $out" >&2; exit 1; }
begin() { # begin NAME COMMAND...: in the background, with a log
    local name=$1
    shift
    "$@" >"$out/$name.out" 2>"$out/$name.log" &
    started+=($!)
}
until_true() { # until_true WHAT COMMAND...: waits, 20 s at most
    local what=$1 i
    shift
    for ((i = 0; i < 400; i++)); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.05
    done
    fail "$what: not within 20 s"
}
screen() { # screen NAME SIZE: starts an X server and sets the variable NAME to its display
    local numbers=$out/$1.display
    begin "$1" Xvfb -displayfd 3 -screen 0 "$2x24" -nolisten tcp -noreset 3>"$numbers"
    until_true "the display of $1" test -s "$numbers"
    printf -v "$1" ':%s' "$(cat "$numbers")"
    rm "$numbers"
}

screen desk 1280x800
screen operator 1280x800

# Real windows on the watched desktop.
DISPLAY=$desk xsetroot -solid '#4a6a8a'
DISPLAY=$desk begin xterm xterm -geometry 84x24+40+40 -fa '' -e \
    sh -c 'while :; do clear; date; uptime; ls -l /usr; sleep 1; done'
DISPLAY=$desk begin xclock xclock -update 1 -geometry 240x240+960+60
DISPLAY=$desk begin xeyes xeyes -geometry 300x200+640+500
DISPLAY=$desk begin xlogo xlogo -geometry 200x200+120+520
until_true "the windows" env DISPLAY="$desk" xdotool search --onlyvisible --class xclock

DISPLAY=$desk begin agent "$hightower" agent --listen 127.0.0.1:0 --json
until_true "the agent" grep -q listening "$out/agent.out"
address=$(sed -n 's/.*"tcp":"\([^"]*\)".*/\1/p' "$out/agent.out")
echo "agent    on the watched desktop $desk, $address"

DISPLAY=$operator begin view "$hightower" view --no-start "$address"
window() { DISPLAY=$operator xdotool search --onlyvisible --name Hightower; }
until_true "the viewer's window" window
echo "viewer   on the operator's desktop $operator"

shot() { DISPLAY=$operator import -window "$(window)" "$out/$1.png"; }
shows_desktop() { # the desktop is bright; the window without a picture is dark
    shot viewer
    identify -format '%[fx:mean>0.25]' "$out/viewer.png" | grep -qx 1
}

"$hightower" start "$address"
until_true "the picture" shows_desktop

"$hightower" lock --for 60s "$address"
before=$(DISPLAY=$desk xdotool getmouselocation)
DISPLAY=$desk xdotool mousemove 5 5
back() { [ "$(DISPLAY=$desk xdotool getmouselocation)" = "$before" ]; }
until_true "the locked pointer" back
echo "pointer  moved by hand, and back where it was locked"
shot locked
"$hightower" unlock "$address"

"$hightower" stop "$address"
"$hightower" start "$address"
sleep 3 # for figures of a few seconds in the status line
shot viewer

# The same picture for scripts: lossless, without a window.
"$hightower" view --headless --frames 1 --save "$out/screen.png" "$address"

echo
echo "The viewer's window:          $out/viewer.png"
echo "The same, pointer locked:     $out/locked.png"
echo "The watched screen, lossless: $out/screen.png"
