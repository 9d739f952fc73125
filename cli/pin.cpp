// troupe pin: facts that every later prompt of a conversation has, word for word.
#include "cli/pin.hpp"

#include <iostream>
#include <memory>
#include <string>

#include "cli/answer_view.hpp"
#include "cli/ask.hpp"
#include "cli/command.hpp"

namespace troupe::cli {

namespace {

struct PinOptions {
  ConnectChoice connect;
  std::string conversation;
  std::string text;
  bool list = false;
  std::size_t remove = 0;
  bool json = false;
};

Result<policy::Pins> change(const clients::Conversation& conversation, const PinOptions& options) {
  if (!options.text.empty()) return conversation.pin(options.text);
  TROUPE_TRY(auto pins, conversation.pins());
  if (options.list) return pins;
  TROUPE_TRY(const auto text, pin_number(pins, options.remove));
  return conversation.unpin(text);
}

Result<int> pin(const PinOptions& options) {
  catch_interrupts();
  TROUPE_TRY(const auto client, options.connect.open());
  TROUPE_TRY(const auto conversation, conversation_of(client, options.conversation));
  TROUPE_TRY(const auto pins, change(conversation, options));
  if (options.json) {
    std::cout << dumped({{"conversation", to_string(conversation.id())}, {"version", pins.version}, {"pins", pins.texts}})
              << std::endl;
  } else {
    print_pins(std::cout, pins);
  }
  return 0;
}

}  // namespace

void print_pins(std::ostream& stream, const policy::Pins& pins) {
  if (pins.texts.empty()) stream << "nothing is pinned\n";
  for (std::size_t i = 0; i < pins.texts.size(); ++i) stream << i + 1 << "  " << pins.texts[i] << '\n';
}

Result<std::string> pin_number(const policy::Pins& pins, std::size_t number) {
  if (number >= 1 && number <= pins.texts.size()) return pins.texts[number - 1];
  return Error{ErrorCode::not_found,
               "there is no pin " + std::to_string(number) + "; " +
                   (pins.texts.empty() ? std::string("nothing is pinned")
                                       : "they are numbered from 1 to " + std::to_string(pins.texts.size()))};
}

void add_pin(CLI::App& app, Action& action) {
  auto options = std::make_shared<PinOptions>();
  CLI::App& command = *app.add_subcommand("pin", "Keep a fact in every later prompt of a conversation, word for word");
  command.footer(
      "Examples:\n"
      "  troupe pin 0123456789abcdef0123456789abcdef \"case K6-112\"\n"
      "  troupe pin 0123456789abcdef0123456789abcdef --list\n"
      "  troupe pin 0123456789abcdef0123456789abcdef --remove 1\n"
      "A pin is one line of at most 256 bytes; a conversation has at most 16, of 1024 bytes together, since every prompt has\n"
      "them. The bundled models read them best as the entries of a summary: \"case K6-112\", \"site Split\", \"prefers "
      "e-mail\",\n"
      "\"fee for card readers: GBP 90\". In troupe chat: /pin, /pins, /unpin.");
  command.add_option("conversation", options->conversation, "32 hexadecimal digits")
      ->required()
      ->check(not_empty(a_conversation));
  CLI::Option* text = command.add_option("text", options->text, "What to pin");
  CLI::Option* list = command.add_flag("--list", options->list, "Show what is pinned, numbered")->excludes(text);
  command.add_option("--remove", options->remove, "Pin no longer the one of this number")
      ->check(CLI::Range(std::size_t{1}, policy::Pins::count_max))
      ->excludes(text)
      ->excludes(list);
  options->connect.add_to(command);
  command.add_flag("--json", options->json, "One JSON object")->group("Output");
  command.callback([options, text, &action] {
    if (text->count() > 0 && options->text.empty()) throw CLI::ValidationError("text", "is empty, expected a line to pin");
    if (text->count() == 0 && !options->list && options->remove == 0) {
      throw CLI::ValidationError("pin", "says neither what to pin nor --list nor --remove");
    }
    action = [options] { return pin(*options); };
  });
}

}  // namespace troupe::cli
