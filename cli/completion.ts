import { Argument, Command } from "commander";
import { action } from "./command.ts";
import { exitCodes } from "./exit.ts";

/**
 * What a shell has to be told so that Tab asks `keyturn complete`. The line is handed over word by word and never evaluated: a `$(…)` that
 * somebody has typed must not run because Tab was pressed. A line `:files` stands for the files that there are.
 */
const scripts = {
  bash: `# keyturn: completion for bash. Put it into ~/.bashrc: source <(keyturn completion bash)
_keyturn() {
  local value rest
  COMPREPLY=()
  while IFS=$'\\t' read -r value rest; do
    if [[ $value == :files ]]; then
      compopt -o default 2>/dev/null
    else
      COMPREPLY+=("$value")
    fi
  done < <(keyturn complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _keyturn keyturn`,

  zsh: `#compdef keyturn
# keyturn: completion for zsh. Put it into ~/.zshrc: source <(keyturn completion zsh)
_keyturn() {
  local value rest
  local -a found
  local -i files=0
  while IFS=$'\\t' read -r value rest; do
    if [[ $value == :files ]]; then
      files=1
    else
      found+=("\${value//:/\\\\:}\${rest:+:$rest}")
    fi
  done < <(keyturn complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( $#found )) && _describe keyturn found
  (( files )) && _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _keyturn keyturn`,

  fish: `# keyturn: completion for fish. Put it into ~/.config/fish/config.fish: keyturn completion fish | source
function __keyturn_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    test -n "$current"; or set current ""
    set -l found (keyturn complete -- $words $current 2>/dev/null)
    if contains -- :files $found
        __fish_complete_path $current
    else
        printf '%s\\n' $found
    end
end
complete -c keyturn -f -a '(__keyturn_complete)'`,
} as const;

const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

export function completionCommand(): Command {
  const command = new Command("completion")
    .description("what a shell needs to complete commands, options, secrets, fleets and stores by Tab")
    .addArgument(new Argument("<shell>", "your shell").choices(shells))
    .addHelpText(
      "after",
      "\nNames come from the manifest; no store is opened.\n\nExample:\n  $ source <(keyturn completion bash)\n  $ keyturn completion fish | source",
    );
  return command.action(
    action(command, async ({ terminal }, shell: Shell) => {
      await terminal.line(scripts[shell]);
      return exitCodes.done;
    }),
  );
}
