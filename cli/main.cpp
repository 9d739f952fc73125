// troupe: the command line.
#include <cstdio>
#include <string>

#include "cli/command.hpp"
#include "cluster/ucx_fabric.hpp"

namespace {

bool has_commands(const CLI::App& app) {
  return !app.get_subcommands([](const CLI::App*) { return true; }).empty();
}

/// Says what is wrong with the command line, and where its help is. The status is 2.
int refuse(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  std::string name = app.get_name();
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().front();
    name += " " + command->get_name();
  }
  std::string what = error.what();
  const auto extras = app.remaining(/*recurse=*/true);
  if (!extras.empty() && has_commands(*command)) {
    what = "there is no command \"" + extras.front() + "\"";
  } else if (!extras.empty()) {
    what = "not expected:";
    for (const std::string& extra : extras) what += " " + extra;
    if (!extras.front().starts_with('-')) what += " (what has spaces needs quotation marks)";
  }
  std::fprintf(stderr, "%s: %s; \"%s --help\" %s\n", name.c_str(), what.c_str(), name.c_str(),
               has_commands(*command) ? "lists the commands" : "explains it");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  troupe::cluster::release_ucx_signals();
  CLI::App app(
      "troupe is an inference cluster: a router picks the cheapest model of a portfolio that can answer well, from passages "
      "of\n"
      "your documents, and an answer depends on nothing but the model, the prompt, the parameters and the seed.\n"
      "Begin with:  troupe node     and in another terminal:  troupe chat",
      "troupe");
  app.footer(
      "Help of a command, with examples:  troupe COMMAND --help\n"
      "Results go to the standard output, everything else to the error stream.\n"
      "Exit status: 0 done, 1 an error or not answered, 2 a wrong command line, 130 interrupted where a command says so,\n"
      "141 nobody reads the output any more (\"| head\").\n"
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
    // Help is one, too; but not of a command that is not there.
    return error.get_exit_code() == 0 && app.remaining(/*recurse=*/true).empty() ? app.exit(error) : refuse(app, error);
  }
  const auto status = troupe::cli::checked_output(action());
  if (status) return *status;
  const auto& error = status.error();
  std::fprintf(stderr, "troupe: %s (%s)\n", error.message.c_str(), std::string(troupe::to_string(error.code)).c_str());
  return 1;
}
