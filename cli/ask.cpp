// troupe ask: a question to the troupe, or a file of them, answered with standard assurance.
#include "cli/ask.hpp"

#include <csignal>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include "cli/ask_many.hpp"
#include "cli/command.hpp"
#include "cli/wait_notice.hpp"

namespace troupe::cli {

namespace {

volatile std::sig_atomic_t interrupts = 0;  // set by a signal, which can reach nothing else

struct AskOptions {
  ConnectChoice connect;
  AskChoice choice{policy::Assurance::standard};
  ManyChoice many;
  std::string question;
  std::string conversation;
  bool json = false;
  bool quiet = false;
};

/// The question itself, or the standard input's.
Result<std::string> question_of(const std::string& given) {
  if (given != "-") return given;
  std::string text;
  char byte = 0;
  while (std::cin.get(byte)) {
    text.push_back(byte);
    if (text.size() > policy::Ask::question_bytes_max) {
      return Error{ErrorCode::too_large, "the question on the standard input has more than " +
                                             std::to_string(policy::Ask::question_bytes_max) + " bytes; shorten it"};
    }
  }
  return text;
}

}  // namespace

Result<clients::Answer> ask_and_show(const clients::Client& client, const clients::Conversation& conversation,
                                     const policy::Ask& ask, AnswerView& view, bool quiet) {
  std::optional<WaitNotice> notice;
  if (!quiet) notice.emplace(client);
  auto answer = conversation.ask(ask, [&](const policy::TurnEvent& event) {
    if (notice) notice->take(event);
    view.take(event);
  });
  if (!answer) view.break_off();
  return answer;
}

namespace {

Result<int> ask_file(const AskOptions& options) {
  catch_interrupts();
  AskChoice choice = options.choice;
  if (choice.priority.empty()) choice.ask.priority = policy::Priority::batch;  // nobody waits for one of many
  return ask_many(options.connect, choice, options.many, options.quiet);
}

Result<int> ask_once(const AskOptions& options, const std::string& question) {
  TROUPE_TRY(const auto client, options.connect.open(output_unread));
  TROUPE_TRY(const auto conversation, conversation_of(client, options.conversation));
  const policy::Ask ask = options.choice.of(question);
  AnswerView view(!options.json && ask.assurance == policy::Assurance::draft);
  TROUPE_TRY(const auto answer, ask_and_show(client, conversation, ask, view, options.quiet));
  if (!answer.end.outcome.committed && output_unread()) return status_of_unread_output;  // nor is it told what was spent
  if (options.json) {
    std::cout << dumped(view.json(answer)) << std::endl;
  } else {
    view.print(answer, options.quiet);
  }
  return answer.end.outcome.committed ? 0 : 1;
}

Result<int> ask(const AskOptions& options) {
  TROUPE_TRY(const std::string question, question_of(options.question));
  catch_interrupts();
  auto status = ask_once(options, question);
  if (!status && output_unread()) return status_of_unread_output;
  return status;
}

/// `high` has a name in requests and policies, and no node answers it.
std::optional<policy::Assurance> offered_assurance(const std::string& name) {
  const auto found = policy::assurance_of(name);
  return found == policy::Assurance::high ? std::nullopt : found;
}

/// A name of an enumeration, checked while the command line is read.
template <class Parse>
CLI::Validator name_of(const Parse& parse, const std::string& names) {
  return CLI::Validator(
      [=](std::string& text) { return parse(text) ? std::string() : "is \"" + text + "\", expected " + names; }, names);
}

/// A port may be left out, and is then added, so that messages name it.
CLI::Validator node_address() {
  return CLI::Validator(
      [](std::string& text) {
        const auto colon = text.rfind(':');
        if (colon == std::string::npos || text.ends_with(']')) {
          text += ":" + std::to_string(clients::Client::default_port);
          return std::string();
        }
        const std::string port = text.substr(colon + 1);
        const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
        if (digits && std::stoi(port) >= 1 && std::stoi(port) <= 65535) return std::string();
        return "is \"" + text + "\", expected host:port with a port from 1 to 65535";
      },
      "HOST:PORT");
}

}  // namespace

CLI::Validator not_empty(const std::string& expected) {
  return CLI::Validator([=](std::string& text) { return text.empty() ? "is empty, expected " + expected : std::string(); }, "");
}

void ConnectChoice::add_to(CLI::App& command) {
  command
      .add_option("--connect", addresses,
                  "A node's address for clients, host:port (no port: 7400); repeated: others to go to when it is lost")
      ->allow_extra_args(false)  // the question may follow
      ->transform(node_address())
      ->capture_default_str()
      ->group("Connection");
}

Result<clients::Client> ConnectChoice::open(std::function<bool()> ends) const {
  clients::ClientOptions options;
  options.interrupted = [ends = std::move(ends)] { return interrupted() || (ends && ends()); };
  auto client = clients::Client::connect(addresses, std::move(options));
  if (!client && client.error().code == ErrorCode::unavailable)
    client.error().message += "; is a node running there? \"troupe node\" starts one";
  return client;
}

AskChoice::AskChoice(policy::Assurance usual) { ask.assurance = usual; }

void AskChoice::add_to(CLI::App& command) {
  command.add_option("--tier", tier, "Answer with this tier and no other: mini, medium, heavy")
      ->check(name_of(policy::tier_of, "mini, medium, heavy"))
      ->group("Question");
  command.add_option("--tenant", ask.tenant, "For whom it is asked, where the routing policy tells tenants apart")
      ->group("Question");
  command
      .add_option("--assurance", assurance,
                  "draft: as the model says it; standard: checked, and asked again of a stronger tier; usual: " +
                      std::string(to_string(ask.assurance)))
      ->check(name_of(offered_assurance, "draft, standard"))
      ->group("Question");
  command.add_option("--grounding", grounding, "Whether passages of the corpus are looked up: automatic, never, always")
      ->check(name_of(policy::grounding_of, "automatic, never, always"))
      ->group("Question");
  command.add_option("--priority", priority, "Who goes first where much is asked: interactive, standard, batch")
      ->check(name_of(policy::priority_of, "interactive, standard, batch"))
      ->group("Question");
  command.add_option("-n,--tokens,--max-tokens", ask.tokens_max, "Tokens of the answer at most")
      ->check(CLI::Range(1, policy::Ask::tokens_limit))
      ->capture_default_str()
      ->group("Question");
  command
      .add_option(
          "--latency-budget", ask.latency_budget_ms,
          "Milliseconds that you hope for; a routing policy may answer a draft in a hurry with a smaller model (0: no hurry)")
      ->check(CLI::Range(std::int64_t{0}, policy::Ask::deadline_limit_ms))
      ->group("Question");
  command.add_option("--deadline", deadline_seconds, "Seconds until the answer is of no use any more")
      ->check(seconds_of_a_day() & CLI::Range(0.001, static_cast<double>(policy::Ask::deadline_limit_ms) / 1000))
      ->capture_default_str()
      ->group("Question");
  command.add_option("-t,--temperature", ask.sampling.temperature, "With draft; 0: always the most likely token")
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--top-k", ask.sampling.top_k, "With draft: only the k most likely tokens (0: off)")
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--top-p", ask.sampling.top_p, "With draft: only the most likely tokens that together reach p")
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--min-p", ask.sampling.min_p, "With draft: only tokens at least this share as likely as the best")
      ->capture_default_str()
      ->group("Sampling");
  command.add_option("--seed", seed, "With draft: the same seed gives the same answer (default: drawn)")
      ->transform(whole_number())
      ->group("Sampling");
}

void AskChoice::check() const {
  const policy::Ask asked = of({});
  if (asked.assurance == policy::Assurance::draft || asked.sampling == policy::Sampling{}) return;
  throw CLI::ValidationError("--temperature, --top-k, --top-p, --min-p",
                             "have no effect with assurance " + std::string(to_string(asked.assurance)) +
                                 ", which takes the most likely token; add --assurance draft");
}

policy::Ask AskChoice::of(const std::string& question) const {
  policy::Ask asked = ask;
  asked.question = question;
  asked.seed = seed;
  asked.tier = policy::tier_of(tier);
  asked.assurance = policy::assurance_of(assurance).value_or(ask.assurance);
  asked.grounding = policy::grounding_of(grounding).value_or(ask.grounding);
  asked.priority = policy::priority_of(priority).value_or(ask.priority);
  asked.deadline_ms = static_cast<std::int64_t>(deadline_seconds * 1000);
  return asked;
}

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { interrupts = 1; };
  sigaction(SIGINT, &action, nullptr);  // without SA_RESTART: a read of the terminal comes back
}
bool interrupted() { return interrupts != 0; }
void forget_interrupt() { interrupts = 0; }

Result<clients::Conversation> conversation_of(const clients::Client& client, const std::string& id) {
  const auto name = parse_name<policy::ConversationId>(id);
  if (id.empty() || name) {
    auto opened = id.empty() ? client.open() : client.resume(*name);
    if (opened || opened.error().code != ErrorCode::unavailable) return opened;
    // The node that was asked may be well, and know whom it waited for.
    if (const auto cluster = client.status()) opened.error().message += who_is_gone(*cluster);
    return opened;
  }
  return Error{ErrorCode::invalid_argument,
               "\"" + id + "\" is no conversation; expected 32 hexadecimal digits, as troupe ask --json prints them"};
}

void add_ask(CLI::App& app, Action& action) {
  auto options = std::make_shared<AskOptions>();
  CLI::App& command = *app.add_subcommand("ask", "Ask the troupe a question");
  command.footer(
      "Examples:\n"
      "  troupe ask \"How long are access logs kept?\"\n"
      "  troupe ask --conversation 0123456789abcdef0123456789abcdef \"And visitor logs?\"\n"
      "  troupe ask --tier heavy --json \"Who approves a purchase?\"\n"
      "  troupe ask --assurance draft --temperature 0.8 --seed 5 \"Hello\"\n"
      "  troupe ask --input questions.jsonl --answers answers.jsonl     many; after an interrupt the same command goes on\n"
      "The answer goes to the standard output, how it came about to the error stream. Ctrl-C cancels the question. A question\n"
      "has at most 65536 bytes. With --input, a line of answers is that of --json after \"id\" and \"question\"; they come as\n"
      "they are ready. What was not answered has \"error\", and is asked again the next time. --priority is batch, unless "
      "said.\n"
      "Exit status: 0 answered, 1 not (all) answered or an error, 2 a wrong command line, 130 interrupted (with --input),\n"
      "141 cancelled since nobody reads the answer any more (\"| head\").");
  auto* question = command.add_option("question", options->question, "The question; \"-\" reads it from the standard input");
  auto* conversation =
      command.add_option("-c,--conversation", options->conversation, "Ask in this conversation (default: a new one)")
          ->check(not_empty(a_conversation))
          ->group("Question");
  options->choice.add_to(command);
  auto* key = command
                  .add_option("--key", options->choice.ask.idempotency_key,
                              "Idempotency key: the same key in a conversation is answered once (default: drawn)")
                  ->check(not_empty("a key"))
                  ->group("Question");
  options->many.add_to(command);
  for (auto* of_one : {question, conversation, key}) of_one->excludes("--input");
  options->connect.add_to(command);
  command.add_flag("--json", options->json, "One JSON object when the turn has ended; with --input always")->group("Output");
  command.add_flag("-q,--quiet", options->quiet, "Only the answer")->group("Output");
  command.callback([options, question, &action] {
    options->choice.check();
    if (!options->many.input.empty()) {
      action = [options] { return ask_file(*options); };
      return;
    }
    if (question->count() == 0) throw CLI::RequiredError("a question, or --input");
    action = [options] { return ask(*options); };
  });
}

}  // namespace troupe::cli
