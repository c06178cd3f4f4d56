# Turns `PROGRAM --help`, which the one table of options prints, into what else has to list the options:
#   PROGRAM --help | awk -v form=mdoc|bash|zsh|fish|names -v program=PROGRAM -v width=WIDTH -f options.awk
# `width` is that of the column of options. An argument's name says what completes it: FILE, DIR, words between bars
# (expiry|always|never), MODEL (the line "Models:" has them; with --models DIR before it, the program is asked again).

function trim(text) {
    gsub(/^ +| +$/, "", text)
    return text
}

# substr() counts characters, and so does the program's column: help texts are ASCII.
function row_read(line,    left, part, n) {
    left = substr(line, 3, width)
    if (length(line) > width + 2 && substr(line, width + 2, 1) != " ")
        left = line # it reaches into the column of the explanations, which then has the next line
    else
        help[rows + 1] = trim(substr(line, width + 3))
    left = trim(left)
    rows++
    letter[rows] = ""
    if (left ~ /^-[A-Za-z], /) {
        letter[rows] = substr(left, 2, 1)
        left = substr(left, 5)
    }
    n = split(left, part, " ")
    name[rows] = substr(part[1], 3)
    argument[rows] = n > 1 ? part[2] : ""
}

/^Usage: / { usage = $0 }
/^Models: / {
    models = substr($0, 9)
    gsub(/[,.]( |$)/, " ", models)
    models = trim(models)
}
/^  ( *|-[A-Za-z], )--[a-z]/ { row_read($0); is_row = 1; next }
is_row && /^      +[^ ]/ {
    help[rows] = trim(help[rows] " " trim($0))
    next
}
{ is_row = 0 }

function words_of(i,    words) {
    if (argument[i] !~ /^[a-z]+(\|[a-z]+)+$/)
        return ""
    words = argument[i]
    gsub(/\|/, " ", words)
    return words
}

function mdoc_text(text) {
    gsub(/\\/, "\\e", text)
    return text ~ /^[.']/ ? "\\&" text : text
}

function mdoc(    i) {
    print ".Bl -tag -width Ds"
    for (i = 1; i <= rows; i++) {
        printf ".It "
        if (letter[i] != "")
            printf "Fl %s%s , ", letter[i], argument[i] != "" ? " Ar " argument[i] : ""
        printf "Fl -%s%s\n", name[i], argument[i] != "" ? " Ar " argument[i] : ""
        print mdoc_text(toupper(substr(help[i], 1, 1)) substr(help[i], 2)) "."
    }
    print ".El"
}

function names(    i) {
    for (i = 1; i <= rows; i++) {
        if (letter[i] != "")
            print "-" letter[i]
        print "--" name[i]
    }
}

# What can stand in `-o`: all but -o itself, --help and --version.
function is_mount_option(i) {
    return letter[i] != "o" && name[i] != "help" && name[i] != "version"
}

function mount_words(    i, word, all) {
    for (i = 1; i <= rows; i++) {
        if (!is_mount_option(i))
            continue
        word = name[i]
        gsub(/-/, "_", word)
        all = all " " word (argument[i] != "" ? "=" : "")
    }
    return substr(all, 2) " allow_other allow_root nodev nosuid noexec ro"
}

# What prints the models that a program with these arguments knows.
function models_command(call) {
    return call " --help 2>/dev/null | sed -n '/^Models: /{s///;s/\\.$//;s/,//g;p;}'"
}

function bash_models() {
    print "_" me "_models() {"
    print "    local i directory= known="
    print "    for ((i = 1; i < COMP_CWORD; i++)); do"
    print "        [ \"${COMP_WORDS[i]}\" = --models ] || continue"
    print "        directory=${COMP_WORDS[i + 1]}"
    print "        [ \"$directory\" != = ] || directory=${COMP_WORDS[i + 2]}"
    print "    done"
    print "    [ -z \"$directory\" ] ||"
    print "        known=$(" models_command("\"${COMP_WORDS[0]}\" --models \"${directory/#\\~/$HOME}\"") ")"
    print "    echo \"${known:-" models "}\""
    print "}\n"
}

function zsh_models() {
    print "_" me "_models() {"
    print "    local directory=${(Q)opt_args[--models]} known="
    print "    [[ -z $directory ]] ||"
    print "        known=$(" models_command("${(Q)words[1]} --models ${directory/#\\~/$HOME}") ")"
    print "    [[ -n $known ]] || known='" models "'"
    print "    compadd -- ${=known}"
    print "}"
}

function bash_action(i) {
    if (argument[i] == "MODEL")
        return "mapfile -t COMPREPLY < <(compgen -W \"$(_" me "_models)\" -- \"$current\")"
    if (argument[i] == "FILE")
        return "mapfile -t COMPREPLY < <(compgen -f -- \"$current\")"
    if (argument[i] == "DIR")
        return "mapfile -t COMPREPLY < <(compgen -d -- \"$current\")"
    if (words_of(i) != "")
        return "mapfile -t COMPREPLY < <(compgen -W '" words_of(i) "' -- \"$current\")"
    if (letter[i] == "o")
        return "_" me "_mount_options \"$current\""
    return ""
}

function bash(    i, all, pattern, others) {
    me = program
    gsub(/-/, "_", me)
    print "# bash completion for " program ", made from its --help"
    if (has_mount_options()) {
        print "_" me "_mount_options() {"
        print "    local before= word=$1"
        print "    case $word in *,*) before=${word%,*}, word=${word##*,} ;; esac"
        print "    mapfile -t COMPREPLY < <(compgen -P \"$before\" -W '" mount_words() "' -- \"$word\")"
        print "    compopt -o nospace 2>/dev/null"
        print "}\n"
    }
    if (models != "")
        bash_models()
    print "_" me "() {"
    print "    local current=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}"
    print "    # --name=value arrives as three words."
    print "    if [ \"$current\" = = ]; then"
    print "        current="
    print "    elif [ \"$option\" = = ] && [ \"$COMP_CWORD\" -ge 2 ]; then"
    print "        option=${COMP_WORDS[COMP_CWORD - 2]}"
    print "    fi"
    print "    compopt -o filenames 2>/dev/null"
    print "    case $option in"
    for (i = 1; i <= rows; i++) {
        if (argument[i] == "")
            continue
        pattern = (letter[i] != "" ? "-" letter[i] " | " : "") "--" name[i]
        if (bash_action(i) == "") { # any text
            others = others (others != "" ? " | " : "") pattern
            continue
        }
        print "    " pattern ")"
        print "        " bash_action(i)
        print "        return ;;"
    }
    if (others != "")
        print "    " others ") return ;;"
    print "    esac"
    for (i = 1; i <= rows; i++)
        all = all (letter[i] != "" ? " -" letter[i] : "") " --" name[i]
    print "    case $current in"
    print "    -*)"
    print "        compopt +o filenames 2>/dev/null"
    print "        mapfile -t COMPREPLY < <(compgen -W '" substr(all, 2) "' -- \"$current\") ;;"
    if (usage ~ /MOUNTPOINT/)
        print "    *) mapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;"
    print "    esac"
    print "}"
    print "complete -F _" me " " program
}

function zsh_text(text) {
    gsub(/\[|\]|:|\\/, "\\\\&", text)
    gsub(/'/, "'\\''", text)
    return text
}

function zsh_action(i) {
    if (argument[i] == "MODEL")
        return "_" me "_models"
    if (argument[i] == "FILE")
        return "_files"
    if (argument[i] == "DIR")
        return "_directories"
    if (words_of(i) != "")
        return "(" words_of(i) ")"
    if (letter[i] == "o")
        return "->mount"
    return " "
}

function has_mount_options(    i) {
    for (i = 1; i <= rows; i++)
        if (letter[i] == "o")
            return 1
    return 0
}

function zsh(    i, tail) {
    me = program
    gsub(/-/, "_", me)
    print "#compdef " program
    print "# zsh completion, made from its --help"
    if (models != "")
        zsh_models()
    print "local state line"
    print "local -A opt_args"
    print "_arguments -s \\"
    for (i = 1; i <= rows; i++) {
        tail = "[" zsh_text(help[i]) "]"
        if (argument[i] != "")
            tail = tail ":" zsh_text(argument[i]) ":" zsh_action(i)
        if (letter[i] != "") {
            printf "    '(-%s --%s)-%s%s%s' \\\n", letter[i], name[i], letter[i],
                argument[i] != "" ? "+" : "", tail
            printf "    '(-%s --%s)--%s%s%s' \\\n", letter[i], name[i], name[i],
                argument[i] != "" ? "=" : "", tail
        } else {
            printf "    '%s--%s%s%s' \\\n", help[i] ~ /repeatable/ ? "*" : "", name[i],
                argument[i] != "" ? "=" : "", tail
        }
    }
    print usage ~ /MOUNTPOINT/ ? "    ':MOUNTPOINT:_directories' && return 0" : "    && return 0"
    if (has_mount_options()) {
        print "if [[ $state = mount ]]; then"
        print "    local -a words=(" mount_words() ")"
        print "    _values -s , 'mount option' ${${words/%=/:value: }}"
        print "fi"
    }
}

function fish_text(text) {
    gsub(/\\/, "\\\\", text)
    gsub(/'/, "\\'", text)
    return "'" text "'"
}

# A line for each option; -x: its argument is no file, -r: it may be one, -f: nothing else is one.
function fish(    i, line) {
    me = program
    gsub(/-/, "_", me)
    print "# fish completion for " program ", made from its --help"
    if (models != "") {
        print "function __" me "_models"
        print "    set -l words (commandline -opc)"
        print "    set -l at (contains -i -- --models $words)"
        print "    set -l directory (string replace -f -- --models= '' $words)"
        print "    test -n \"$at\"; and set directory $words[(math $at + 1)]"
        print "    set -l known"
        print "    test -n \"$directory\""
        print "    and set known (eval $words[1] --models (string escape -- $directory[1]) --help 2>/dev/null | string match -rg '^Models: (.*)\\.$')"
        print "    test -n \"$known\"; or set known " fish_text(models)
        print "    string split -n ' ' -- (string replace -a , '' -- $known)"
        print "end"
    }
    for (i = 1; i <= rows; i++) {
        line = "complete -c " program (letter[i] != "" ? " -s " letter[i] : "") " -l " name[i]
        if (argument[i] == "MODEL")
            line = line " -x -a '(__" me "_models)'"
        else if (argument[i] == "FILE")
            line = line " -r -F"
        else if (argument[i] == "DIR")
            line = line " -x -a '(__fish_complete_directories)'"
        else if (words_of(i) != "")
            line = line " -x -a " fish_text(words_of(i))
        else if (letter[i] == "o")
            line = line " -x -a '(__fish_append , " mount_words() ")'"
        else if (argument[i] != "")
            line = line " -x"
        print line " -d " fish_text(help[i])
    }
    print "complete -c " program " -f" (usage ~ /MOUNTPOINT/ ? " -a '(__fish_complete_directories)'" : "")
}

END {
    if (form == "mdoc") mdoc()
    else if (form == "fish") fish()
    else if (form == "bash") bash()
    else if (form == "zsh") zsh()
    else names()
}
