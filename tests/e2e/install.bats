#!/usr/bin/env bats
# What is installed: the files and their removal, the man pages, the completions, and that all of them list the options
# that the programs have.
load helper

setup() {
    # What is installed is made of release builds, and looked at, not run.
    [ "$BUILD" = build ] || skip "looks at what 'make install' takes from build/"
    start_world
}
teardown() { [ -z "${DIR:-}" ] || end_world; }

# As a user calls it, whoever runs these tests.
make_() { env -u MAKEFLAGS -u MAKELEVEL -u V make --no-print-directory -C "$ROOT" SHARE="$DIR/share" "$@" >"$DIR/make.out" 2>&1 3>&-; }

share() { "$ROOT/scripts/packaging/build-share.sh" "$ROOT/$BUILD" "$DIR/share" /usr/bin; }

# The options of a program, sorted, as --help prints them: found here without scripts/packaging.
help_options() {
    "$ROOT/$BUILD/$1" --help | grep -oE '^  +(-[A-Za-z], )?--[a-z0-9-]+' | grep -oE -- '--?[A-Za-z][a-z0-9-]*' | sort
}
same() { diff "$1" "$2" >&2 || { echo "$1 and $2 differ" >&2; return 1; }; }

# S-INSTALL-1: `make uninstall` removes exactly the files that `make install` has installed, with the same PREFIX and
#   DESTDIR.
@test "S-INSTALL-1: make install and uninstall, with PREFIX and DESTDIR" {
    mkdir -p "$DIR/root/opt/x/bin" "$DIR/root/opt/x/share/man/man1" "$DIR/root/opt/x/share/doc/other"
    touch "$DIR/root/opt/x/bin/other" "$DIR/root/opt/x/share/man/man1/other.1" "$DIR/root/opt/x/share/doc/other/README.md"
    find "$DIR/root" ! -type d | sort >"$DIR/before"
    mkdir "$DIR/tmp"
    TMPDIR=$DIR/tmp make_ install DESTDIR="$DIR/root" PREFIX=/opt/x
    # Nothing of root's is left among what a user has built, nor elsewhere.
    [ ! -e "$DIR/share" ]
    [ -z "$(ls -A "$DIR/tmp")" ]
    cd "$DIR/root/opt/x"
    for file in bin/seedancefs bin/seedance-sim share/man/man1/seedancefs.1 share/man/man1/seedance-sim.1 \
        share/man/man5/seedancefs.5 share/bash-completion/completions/seedancefs \
        share/zsh/site-functions/_seedancefs lib/systemd/system/seedancefs@.service \
        lib/systemd/user/seedancefs.service lib/systemd/user/seedancefs@.service share/doc/seedancefs/README.md share/doc/seedancefs/LICENSE \
        share/doc/seedancefs/monitoring/{seedancefs-metrics,seedancefs-metrics.service,seedancefs-metrics.timer} \
        share/doc/seedancefs/monitoring/{seedancefs.rules.yml,grafana-dashboard.json}; do
        [ -s "$file" ] || { echo "$file is not there" >&2; return 1; }
    done
    [ sbin/mount.fuse.seedancefs -ef bin/seedancefs ]
    [ "$(stat -c %a bin/seedancefs share/man/man1/seedancefs.1)" = "$(printf '755\n644')" ]
    bin/seedancefs --version
    # Whatever the documents link to is there.
    (
        cd share/doc/seedancefs
        for document in *.md docs/*.md; do
            grep -oE '\]\([^)#]+' "$document" | sed 's/^](//' | grep -v '^[a-z]*://' | while read -r link; do
                [ -e "${document%"${document##*/}"}$link" ] || { echo "$document: $link is not there" >&2; exit 1; }
            done || exit 1
        done
        [ -s docs/gallery.png ] && [ -s docs/terminal.png ]
    )
    # Where it was put for packing is not where it will be.
    fails grep -rlF "$DIR" share lib
    grep -q '^ExecStart=/opt/x/bin/seedancefs ' lib/systemd/*/*.service
    cd "$DIR"
    make_ uninstall DESTDIR="$DIR/root" PREFIX=/opt/x
    find "$DIR/root" ! -type d | sort >"$DIR/after"
    same "$DIR/before" "$DIR/after"
    [ ! -e "$DIR/root/opt/x/share/doc/seedancefs" ]
}

@test "what is installed for building, for a package, for the bench and for the tests" {
    mkdir "$DIR/bin"
    # A machine on which nothing is installed.
    printf '#!/bin/sh\nexit 1\n' >"$DIR/bin/dpkg-query"
    printf '#!/bin/sh\necho "$*" >>"%s"\n' "$DIR/apt" | tee "$DIR/bin/apt-get" >"$DIR/bin/sudo"
    chmod +x "$DIR"/bin/*
    asked() { rm -f "$DIR/apt"; PATH=$DIR/bin:$PATH "$ROOT/scripts/install-deps.sh" "$@" >/dev/null; tail -n 1 "$DIR/apt" | tr ' ' '\n'; }
    PATH=$DIR/bin:$PATH make_ deps
    tail -n 1 "$DIR/apt" | tr ' ' '\n' | grep -v '^-' >"$DIR/build"
    asked --build | grep -v '^-' | diff "$DIR/build" -
    # What the documents say is enough is: every library and program that the Makefile names.
    has 'make deps && make && sudo make install' "$ROOT/README.md"
    for package in gcc make pkg-config libfuse3-dev libcurl4-openssl-dev libcjson-dev libsqlite3-dev libmicrohttpd-dev fuse3; do
        grep -qx "$package" "$DIR/build" || { echo "building needs $package" >&2; return 1; }
    done
    for package in clang bats samba prometheus chromium-headless-shell; do fails grep -x "$package" "$DIR/build"; done
    for kind in --package --bench ''; do
        # shellcheck disable=SC2086 # none, or one word
        asked $kind >"$DIR/all"
        [ -z "$(grep -vxFf "$DIR/all" "$DIR/build")" ]
    done
    asked --package | grep -x dpkg-dev
}

# S-INSTALL-2: The man pages, the completions for bash, zsh and fish and `--help` list the same options.
@test "S-INSTALL-2: --help, man page and completions list the same options" {
    share
    for program in seedancefs seedance-sim; do
        help_options $program >"$DIR/help"
        [ "$(wc -l <"$DIR/help")" -ge 20 ]
        LC_ALL=C.UTF-8 MAN_KEEP_FORMATTING='' MANWIDTH=200 man -l -E ascii "$DIR/share/man/$program.1" | col -bx |
            sed -n '/^OPTIONS/,/^[A-Z]/p' | grep -oE '^ {5}-.*' |
            grep -oE -- '(^ +|, )--?[A-Za-z][a-z0-9-]*' | grep -oE -- '--?[A-Za-z][a-z0-9-]*' | sort >"$DIR/man"
        same "$DIR/help" "$DIR/man"
        complete_bash $program - | sort >"$DIR/bash"
        same "$DIR/help" "$DIR/bash"
        # _arguments is given all specifications: --name=[…], '(-f --foreground)-f[…]', '*--api-key=[…]'.
        zsh -fc '_arguments() { print -rl -- "$@" }; . "$1"' - "$DIR/share/zsh/_$program" 2>/dev/null |
            sed -nE 's/^(\*|\([^)]*\))?(--?[A-Za-z][a-z0-9-]*)[=+]?\[.*/\2/p' | sort >"$DIR/zsh"
        same "$DIR/help" "$DIR/zsh"
        sed -nE "s/^complete -c $program( -s (.))? -l ([a-z0-9-]+) .*/-\2\n--\3/p" "$DIR/share/fish/$program.fish" | grep -vx -- - | sort >"$DIR/fish"
        same "$DIR/help" "$DIR/fish"
    done
}

# complete_bash PROGRAM WORD...   what pressing Tab after these words would offer
complete_bash() {
    bash --norc -c '
        . "$1/share/bash/$2"
        COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
        "_${2//-/_}" "$2"
        printf "%s\n" "${COMPREPLY[@]}"' - "$DIR" "$@"
}

@test "S-INSTALL-2: what bash completes" {
    share
    mkdir -p "$DIR/in/somewhere"
    touch "$DIR/in/some.key"
    cd "$DIR/in"
    [ "$(complete_bash seedancefs --archive '')" = "$(printf 'expiry\nalways\nnever')" ]
    [ "$(complete_bash seedancefs --archive = al)" = always ]
    [ "$(complete_bash seedancefs --archive =)" = "$(printf 'expiry\nalways\nnever')" ]
    [ "$(complete_bash seedancefs --model '')" = "$(printf 'doubao-seedance-2.0\ndoubao-seedance-2.0-fast')" ]
    mkdir "$DIR/in/models"
    echo '{"usd_per_second": {"720p": "1"}}' >"$DIR/in/models/seedance-3.json"
    PATH=$ROOT/$BUILD:$PATH
    [ "$(complete_bash seedancefs --models models --model seedance)" = seedance-3 ]
    [ "$(complete_bash seedancefs --models = models --model = dou)" = "$(printf 'doubao-seedance-2.0\ndoubao-seedance-2.0-fast')" ]
    [ "$(complete_bash seedancefs --models nowhere --model dou | wc -l)" -eq 2 ]
    rm -r "$DIR/in/models"
    [ "$(complete_bash seedancefs --api-key-file some | sort)" = "$(printf 'some.key\nsomewhere')" ]
    [ "$(complete_bash seedancefs --data-dir so)" = somewhere ]
    [ "$(complete_bash seedancefs --arc)" = --archive ]
    [ "$(complete_bash seedancefs so)" = somewhere ]
    [ "$(complete_bash seedancefs -o allow_other,bud)" = allow_other,budget= ]
    [ "$(complete_bash seedancefs --budget '')" = '' ]
    [ "$(complete_bash seedance-sim --log so | sort)" = "$(printf 'some.key\nsomewhere')" ]
    # What -o is offered the program knows.
    # (share_init mounts nothing, and says that it needs the database.)
    for option in $(complete_bash seedancefs -o '' | grep -v 'allow_\|^no\|^ro$\|^share_init$'); do
        run "$SEEDANCEFS" -o "${option%=}"
        [ "$status" -eq 2 ]
        if [[ $option = *= ]]; then
            [[ $output == *"-o ${option%=}: a value is missing"* ]]
        else
            [[ $output == *'mount point is missing'* ]]
        fi
    done
}

@test "S-INSTALL-2: what fish completes" {
    command -v fish >/dev/null || skip "fish is not installed"
    share
    export HOME=$DIR/home
    mkdir -p "$DIR/in/somewhere" "$DIR/in/models" "$HOME"
    touch "$DIR/in/some.key"
    echo '{"model": "seedance-3", "usd_per_second": {"720p": "0.30"}}' >"$DIR/in/models/seedance-3.json"
    cd "$DIR/in"
    fish_completes() {
        PATH=${SEEDANCEFS%/*}:$PATH fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$DIR/share/fish/$1.fish" "$1 $2" |
            cut -f1 | tr '\n' ' '
    }
    [ "$(fish_completes seedancefs --archive=al)" = '--archive=always ' ]
    [ "$(fish_completes seedancefs '--data-dir so')" = 'somewhere/ ' ]
    [ "$(fish_completes seedancefs '--api-key-file some.')" = 'some.key ' ]
    [ "$(fish_completes seedancefs '--log-level deb')" = 'debug ' ]
    [ "$(fish_completes seedancefs '--model doubao-seedance-2.0-')" = 'doubao-seedance-2.0-fast ' ]
    [ "$(fish_completes seedancefs '--models models --model see')" = 'seedance-3 ' ]
    [ "$(fish_completes seedancefs --foreg)" = '--foreground ' ]
    [ "$(fish_completes seedancefs '-o budg')" = 'budget= ' ]
    [ "$(fish_completes seedancefs some)" = 'somewhere/ ' ]
    [ "$(fish_completes seedance-sim --generation)" = '--generation-seconds ' ]
}

@test "S-INSTALL-2: what zsh completes" {
    share
    mkdir -p "$DIR/in/somewhere"
    touch "$DIR/in/some.key"
    cd "$DIR/in"
    [ "$(complete_zsh 'seedancefs --archive=al')" = 'seedancefs --archive=always' ]
    [ "$(complete_zsh 'seedancefs --data-dir so')" = 'seedancefs --data-dir somewhere/' ]
    [ "$(complete_zsh 'seedancefs --api-key-file some.')" = 'seedancefs --api-key-file some.key' ]
    [ "$(complete_zsh 'seedancefs --log-level deb')" = 'seedancefs --log-level debug' ]
    mkdir "$DIR/in/models"
    echo '{"usd_per_second": {"720p": "1"}}' >"$DIR/in/models/seedance-3.json"
    PATH=$ROOT/$BUILD:$PATH
    [ "$(complete_zsh 'seedancefs --model doubao-seedance-2.0-')" = 'seedancefs --model doubao-seedance-2.0-fast' ]
    [ "$(complete_zsh 'seedancefs --models=models --model see')" = 'seedancefs --models=models --model seedance-3' ]
    [ "$(complete_zsh 'seedancefs --models models --model see')" = 'seedancefs --models models --model seedance-3' ]
    [ "$(complete_zsh 'seedancefs --foreg')" = 'seedancefs --foreground' ]
    [ "$(complete_zsh 'seedancefs -o budg')" = 'seedancefs -o budget=' ]
}

# complete_zsh LINE   what the line is after Tab, in a zsh on a terminal of its own
complete_zsh() {
    cat >"$DIR/complete.zsh" <<'END'
zmodload zsh/zpty
zpty shell zsh -f -i
send() { zpty -w shell "$1" }
send "PS1= PS2= RPS1="
send "fpath=($1 \$fpath); autoload -Uz compinit; compinit -D -u; zmodload zsh/complete 2>/dev/null"
send "unsetopt zle_bracketed_paste 2>/dev/null; zstyle ':completion:*' menu no; LISTMAX=1000"
send "show() { print -r -- \"LINE<\$BUFFER>\" >$2; exit }; zle -N show; bindkey '^X' show; bindkey '^I' complete-word"
send "cd $3; print -r -- READY >$2.ready"
for i in {1..1000}; do [[ -s $2.ready ]] && break; sleep 0.02; done
zpty -w -n shell "$4"$'\t'$'\x18'
for i in {1..1000}; do [[ -s $2 ]] && break; sleep 0.02; done
END
    rm -f "$DIR/line" "$DIR/line.ready"
    TERM=dumb timeout 60 zsh -f "$DIR/complete.zsh" "$DIR/share/zsh" "$DIR/line" "$PWD" "$1" >/dev/null 2>&1 3>&-
    sed -nE 's/^LINE<(.*)>$/\1/p' "$DIR/line" | sed 's/ $//'
}

@test "the man pages are clean" {
    share
    for page in "$DIR"/share/man/*; do
        # Where there is no database of manuals, nothing but the page itself is looked at.
        LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings=w -l -E UTF-8 "$page" >"$DIR/page" 2>"$DIR/warnings"
        [ ! -s "$DIR/warnings" ] || { cat "$DIR/warnings" >&2; return 1; }
        fails grep -n '^@' "$page"
        mandoc -T lint -W warning "$page" >&2
        [ "$(wc -l <"$DIR/page")" -gt 60 ]
    done
}

# tags PAGE SECTION   the tags of a section's list
tags() {
    LC_ALL=C.UTF-8 MANWIDTH=200 man -l -E ascii "$DIR/share/man/$1" | col -bx |
        sed -n "/^\( *\)$2\$/,/^ \{0,3\}[A-Z]/p" | sed -nE 's/^ {5}([a-z][A-Za-z0-9._]*)( .*)?$/\1/p'
}

# What three documents say is there, sorted: "root" or "job", the document.
documented() {
    case $2 in
    man)
        case $1 in
        root) sed -n '/^\.Ss The root/,/^\.El/s/^\.It Pa \([^ ]*\).*/\1/p' "$DIR/share/man/seedancefs.5" ;;
        job) sed -n '/^\.Ss A job/,/^\.El/s/^\.It Pa \([^ ]*\).*/\1/p' "$DIR/share/man/seedancefs.5" ;;
        esac ;;
    README.md)
        case $1 in
        root) sed -n '/^## The tree/,/^A request/p' "$ROOT/README.md" | sed -nE 's|^ {4}([A-Za-z][^ /]*).*|\1|p' ;;
        job) sed -n '/^    jobs\//,/^A request/p' "$ROOT/README.md" | sed -nE 's|^ {8}([a-z][^ /]*).*|\1|p' ;;
        esac ;;
    README.txt)
        case $1 in
        root) sed -n '/^At the root/,/^$/p' "$MNT/README.txt" ;;
        job) sed -n '/^In each job/,/^$/p' "$MNT/README.txt" ;;
        esac | sed -nE 's|^ {4}([A-Za-z][^ /]*).*|\1|p' ;;
    esac | sort
}

order_take() { echo take 2>/dev/null >"$MNT/jobs/cat/ctl"; }

# S-INSTALL-3: seedancefs(5), `README.txt` and the tree in README.md list every file of the mount and no others.
#   seedancefs(5) also has every state, every command of `ctl`, every extended attribute and every row of the table of
#   error numbers.
@test "S-INSTALL-3: three documents name the files that are there" {
    share
    with_ffmpeg
    mount_fs
    make_job cat
    wait_until 20 order_take
    wait_status cat succeeded
    cat "$MNT"/jobs/cat/{first,last}_frame.png >/dev/null
    # What is there only while something is wrong, and one kind of prompt or the other.
    fails sh -c 'echo "{\"duration\": 99}" >"$1"' - "$MNT/defaults.json"
    echo '[[fail]]' >"$MNT/jobs/dog/prompt.txt"
    wait_status dog failed
    { ls "$MNT"; echo events; } | sort >"$DIR/root"
    { ls "$MNT/jobs/cat" "$MNT/jobs/dog" | grep -v ':$\|^$'; echo wait; } | sort -u >"$DIR/job"
    grep -qx defaults.error "$DIR/root"
    [ "$(wc -l <"$DIR/job")" -ge 15 ]
    for document in man README.md README.txt; do
        for place in root job; do
            documented $place $document >"$DIR/$place.$document"
            same "$DIR/$place" "$DIR/$place.$document"
        done
    done
}

@test "S-INSTALL-3: seedancefs(5) against the mount" {
    share
    mount_fs
    make_job cat
    wait_until 20 order_take
    wait_status cat succeeded
    tags seedancefs.5 'A job' >"$DIR/files"
    for name in $(ls "$MNT/jobs/cat") error; do
        grep -qxF "$name" "$DIR/files" || { echo "seedancefs(5) lacks $name" >&2; return 1; }
    done
    [ "$(wc -l <"$DIR/files")" -ge 12 ]
    # Each of them is the filesystem's: nobody else can make a file of that name.
    mkdir "$MNT/jobs/dog"
    for name in $(grep -v '^prompt\.' "$DIR/files"); do
        [ -e "$MNT/jobs/dog/$name" ] || fails touch "$MNT/jobs/dog/$name"
    done
    for name in $(ls "$MNT"); do
        grep -qE "^\.It Pa $name( |\$)" "$DIR/share/man/seedancefs.5" || { echo "seedancefs(5) lacks $name" >&2; return 1; }
    done
    # The words of S-FILE-1, between "words" and "and a newline".
    sed -n '/^- S-FILE-1:/,/^- S-FILE-2:/p' "$ROOT/docs/SEMANTICS.md" | tr '\n' ' ' |
        sed 's/.*the words \(.*\), and a newline.*/\1/; s/,/ /g' | tr -s ' ' '\n' | sort >"$DIR/states"
    [ "$(wc -l <"$DIR/states")" -eq 14 ]
    tags seedancefs.5 STATES | sort >"$DIR/man-states"
    same "$DIR/states" "$DIR/man-states"
    awk '/^[a-z]/ { print $1 }' "$MNT/jobs/cat/ctl" | sort >"$DIR/commands"
    tags seedancefs.5 COMMANDS | sort >"$DIR/man-commands"
    same "$DIR/commands" "$DIR/man-commands"
    grep -oE '^\| [A-Z_]+ \| E' "$ROOT/docs/SEMANTICS.md" | awk '{ print $2 }' | sort >"$DIR/rows"
    sed -nE 's/^\.It ([A-Z_]+) Ta Er .*/\1/p' "$DIR/share/man/seedancefs.5" | sort >"$DIR/man-rows"
    [ "$(wc -l <"$DIR/rows")" -ge 30 ]
    same "$DIR/rows" "$DIR/man-rows"
    python 'print(*os.listxattr(M + "jobs/cat"), sep="\n")' | sort >"$DIR/attributes"
    [ "$(wc -l <"$DIR/attributes")" -eq 5 ]
    sed -n 's/^\.It Va //p' "$DIR/share/man/seedancefs.5" | sort >"$DIR/man-attributes"
    same "$DIR/attributes" "$DIR/man-attributes"
}
