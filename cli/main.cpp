// troupe: the command line.
#include <cstdio>

#include "cli/command.hpp"

int main(int argc, char** argv) {
  CLI::App app(
      "troupe is an inference cluster: a router picks the cheapest model of a portfolio that can answer well, from passages "
      "of\n"
      "your documents, and an answer depends on nothing but the model, the prompt, the parameters and the seed.\n"
      "Begin with:  troupe node     and in another terminal:  troupe chat",
      "troupe");
  app.footer(
      "Help of a command, with examples:  troupe COMMAND --help\n"
      "Results go to the standard output, everything else to the error stream.\n"
      "Exit status: 0 done, 1 an error or not answered, 2 a wrong command line, 130 interrupted where a command says so.\n"
      "An error ends with its code in parentheses; docs/operations.md says what to do about each.");
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of all commands");
  app.set_version_flag("--version", TROUPE_VERSION);
  troupe::cli::Action action;
  troupe::cli::add_generate(app, action);
  troupe::cli::add_model(app, action);
  troupe::cli::add_bench(app, action);
  troupe::cli::add_node(app, action);
  troupe::cli::add_ask(app, action);
  troupe::cli::add_chat(app, action);
  troupe::cli::add_history(app, action);
  troupe::cli::add_explain(app, action);
  troupe::cli::add_pin(app, action);
  troupe::cli::add_policy(app, action);
  troupe::cli::add_shadow(app, action);
  troupe::cli::add_cluster(app, action);
  troupe::cli::add_corpus(app, action);
  troupe::cli::add_eval(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto status = troupe::cli::checked_output(action());
  if (status) return *status;
  const auto& error = status.error();
  std::fprintf(stderr, "troupe: %s (%s)\n", error.message.c_str(), std::string(troupe::to_string(error.code)).c_str());
  return 1;
}
