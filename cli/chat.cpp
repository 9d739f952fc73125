// troupe chat: a conversation at the terminal, drafts streamed as they come.
#include <algorithm>
#include <charconv>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "cli/answer_view.hpp"
#include "cli/ask.hpp"
#include "cli/command.hpp"
#include "cli/explain.hpp"
#include "cli/history.hpp"
#include "cli/line_editor.hpp"
#include "cli/pin.hpp"

namespace troupe::cli {

namespace {

constexpr std::string_view help =
    "  /history      what was said in this conversation\n"
    "  /explain [N]  how turn N (without a number: the last) was decided and answered\n"
    "  /pin TEXT     say this in every later prompt, word for word\n"
    "  /pins         what is pinned, numbered\n"
    "  /unpin N      pin number N no longer\n"
    "  /new          begin a new conversation\n"
    "  /quit         end; Ctrl-D does the same\n"
    "Anything else is a question. Ctrl-C cancels the one that is being answered.\n";

struct ChatOptions {
  ConnectChoice connect;
  AskChoice choice{policy::Assurance::draft};
  std::string conversation;
  bool json = false;
  bool quiet = false;
};

/// One conversation after the other, until the person has had enough.
class Chat {
 public:
  Chat(const ChatOptions& options, clients::Client client, clients::Conversation conversation)
      : options_(options),
        client_(std::move(client)),
        conversation_(std::move(conversation)),
        last_turn_(conversation_.turns()) {}

  /// Whether everything was answered.
  bool run(LineEditor& editor) {
    if (editor.on_terminal() && !options_.json) greet();
    std::string line;
    for (;;) {
      forget_interrupt();
      const LineEditor::End end = editor.read(line);
      if (end == LineEditor::End::interrupted) {
        if (!editor.on_terminal()) return false;
        std::cout << "\n(/quit ends)" << std::endl;
        continue;
      }
      if (end == LineEditor::End::closed) break;
      if (!std::cout.good()) return false;
      const auto begin = line.find_first_not_of(" \t");
      if (begin == std::string::npos) continue;
      if (line[begin] != '/') {
        ask(line);
      } else if (!obey(std::string_view(line).substr(begin))) {
        break;
      }
    }
    return all_well_;
  }

 private:
  void greet() const {
    std::cout << "Conversation " << to_string(conversation_.id());
    if (conversation_.turns() > 0) std::cout << ", " << conversation_.turns() << " turns so far";
    std::cout << ". /help lists what else can be typed." << std::endl;
  }

  void complain(const Error& error) {
    all_well_ = false;
    if (options_.json) {
      std::cout << dumped({{"conversation", to_string(conversation_.id())},
                           {"error", {{"code", to_string(error.code)}, {"message", error.message}}}})
                << std::endl;
    } else {
      std::cerr << "troupe: " << error.message << " (" << to_string(error.code) << ")\n";
    }
  }

  void ask(const std::string& question) {
    const policy::Ask asked = options_.choice.of(question);
    AnswerView view(!options_.json && asked.assurance == policy::Assurance::draft);
    const auto answer = ask_and_show(client_, conversation_, asked, view, options_.quiet);
    if (!answer) return complain(answer.error());
    last_turn_ = answer->turn.number;
    all_well_ &= answer->end.outcome.committed;
    if (options_.json) {
      std::cout << dumped(view.json(*answer)) << std::endl;
    } else {
      view.print(*answer, options_.quiet);
    }
  }

  /// False if that was the end.
  bool obey(std::string_view line) {
    const std::string_view word = line.substr(0, line.find(' '));
    if (word == "/quit" || word == "/exit") return false;
    if (word == "/help") {
      std::cout << (options_.json ? dumped({{"help", help}}) + "\n" : std::string(help)) << std::flush;
    } else if (word == "/history") {
      history();
    } else if (word == "/explain") {
      explain(line.substr(std::min(line.size(), word.size() + 1)));
    } else if (word == "/pin" || word == "/pins" || word == "/unpin") {
      pin(word, line.substr(std::min(line.size(), word.size() + 1)));
    } else if (word == "/new") {
      begin();
    } else {
      complain({ErrorCode::invalid_argument, "there is no command " + std::string(word) + "; /help lists those there are"});
    }
    return true;
  }

  void history() {
    for (std::uint32_t next = 1;;) {
      const auto page = conversation_.history(next);
      if (!page) return complain(page.error());
      if (options_.json) {
        for (const policy::Turn& turn : page->turns) std::cout << dumped(json_of(turn)) << '\n';
        std::cout << std::flush;
      } else {
        if (next == 1) std::cout << "conversation " << to_string(conversation_.id()) << '\n';
        std::cout << history_of(*page);
      }
      if (!page->more || page->turns.empty()) return;
      next = page->turns.back().id.number + 1;
    }
  }

  void explain(std::string_view number) {
    std::uint32_t turn = last_turn_;
    if (!number.empty()) {
      const auto [end, problem] = std::from_chars(number.data(), number.data() + number.size(), turn);
      if (problem != std::errc{} || end != number.data() + number.size())
        return complain({ErrorCode::invalid_argument, "\"" + std::string(number) + "\" is no number of a turn"});
    }
    if (turn == 0) return complain({ErrorCode::not_found, "nothing was asked yet, so there is nothing to explain"});
    const auto found = conversation_.explain(turn);
    if (!found) return complain(found.error());
    if (options_.json) {
      std::cout << dumped(json_of(*found)) << std::endl;
    } else {
      std::cout << explanation_of(*found);
    }
  }

  void pin(std::string_view word, std::string_view what) {
    const auto pins = [&]() -> Result<policy::Pins> {
      if (word == "/pin") return conversation_.pin(std::string(what));
      TROUPE_TRY(auto there, conversation_.pins());
      if (word == "/pins") return there;
      std::size_t number = 0;
      const auto [end, problem] = std::from_chars(what.data(), what.data() + what.size(), number);
      if (problem != std::errc{} || end != what.data() + what.size())
        return Error{ErrorCode::invalid_argument, "\"" + std::string(what) + "\" is no number of a pin; /pins lists them"};
      TROUPE_TRY(const auto text, pin_number(there, number));
      return conversation_.unpin(text);
    }();
    if (!pins) return complain(pins.error());
    if (options_.json) {
      std::cout << dumped({{"version", pins->version}, {"pins", pins->texts}}) << std::endl;
    } else {
      print_pins(std::cout, *pins);
    }
  }

  void begin() {
    auto fresh = client_.open();
    if (!fresh) return complain(fresh.error());
    conversation_ = std::move(*fresh);
    last_turn_ = 0;
    if (!options_.json) greet();
  }

  const ChatOptions& options_;
  clients::Client client_;
  clients::Conversation conversation_;
  std::uint32_t last_turn_;
  bool all_well_ = true;
};

Result<int> chat(const ChatOptions& options) {
  catch_interrupts();
  TROUPE_TRY(auto client, options.connect.open());
  TROUPE_TRY(auto conversation, conversation_of(client, options.conversation));
  const auto state = state_folder();
  LineEditor editor("> ", state.empty() ? state : state / "chat_history");
  Chat talk(options, std::move(client), std::move(conversation));
  const bool all_well = talk.run(editor);
  // A person has seen what went wrong; a script wants to know.
  return editor.on_terminal() || all_well ? 0 : 1;
}

}  // namespace

void add_chat(CLI::App& app, Action& action) {
  auto options = std::make_shared<ChatOptions>();
  CLI::App& command = *app.add_subcommand("chat", "Talk with the troupe; it remembers the conversation");
  command.footer(
      "Examples:\n"
      "  troupe chat\n"
      "  troupe chat --conversation 0123456789abcdef0123456789abcdef     go on with an earlier one\n"
      "  printf 'How long are access logs kept?\\nAnd visitor logs?\\n' | troupe chat --json     one question a line\n"
      "Answers are drafts unless --assurance standard: they stream as the model says them, and are not asked again elsewhere.\n"
      "What you type is kept in ~/.local/state/troupe/chat_history. /help lists the commands of the chat.\n"
      "Exit status: 0, or 1 for an error, or (not on a terminal) if something was not answered; 2 for a wrong command line.");
  command.add_option("-c,--conversation", options->conversation, "Go on with this one (default: a new one)")
      ->check(not_empty(a_conversation))
      ->group("Question");
  options->choice.add_to(command);
  options->connect.add_to(command);
  command.add_flag("--json", options->json, "One JSON object an answer")->group("Output");
  command.add_flag("-q,--quiet", options->quiet, "Only the answers")->group("Output");
  command.callback([options, &action] {
    options->choice.check();
    action = [options] { return chat(*options); };
  });
}

}  // namespace troupe::cli
