#include "model/pre_tokenizer.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

namespace troupe::model {

namespace {

constexpr std::size_t expression_bytes_max = 16384;
constexpr std::uint32_t match_steps_max = 20'000'000;  // of one match; enough to back out of 4 MiB of white space
constexpr std::uint32_t match_heap_kib_max = 65536;    // of one match, when it does not run as machine code

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

struct PreTokenizer::Pattern {
  std::unique_ptr<pcre2_code, Free> code;
  std::unique_ptr<pcre2_match_context, Free> limits;

  Result<void> split(std::string_view text, std::vector<std::string_view>& pieces) const;
};

PreTokenizer::PreTokenizer() = default;
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::compile(std::span<const std::string> expressions) {
  PreTokenizer result;
  const std::unique_ptr<pcre2_compile_context, Free> context(pcre2_compile_context_create(nullptr));
  pcre2_set_max_pattern_length(context.get(), expression_bytes_max);
  for (const std::string& expression : expressions) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    std::unique_ptr<pcre2_code, Free> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                                         PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
                                                         context.get()));
    if (!code) {
      return Error{ErrorCode::invalid_argument, "regular expression of " + std::to_string(expression.size()) +
                                                    " bytes is refused at byte " + std::to_string(offset) + ": " +
                                                    message_of(error)};
    }
    std::uint32_t may_be_empty = 0;
    pcre2_pattern_info(code.get(), PCRE2_INFO_MATCHEMPTY, &may_be_empty);
    if (may_be_empty != 0) {
      return Error{ErrorCode::unsupported,
                   "regular expression can match an empty piece; every match must take at least a character"};
    }
    pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // where it is not available, the interpreter gives the same pieces
    auto pattern = std::make_unique<Pattern>();
    pattern->limits.reset(pcre2_match_context_create(nullptr));
    pcre2_set_match_limit(pattern->limits.get(), match_steps_max);
    pcre2_set_heap_limit(pattern->limits.get(), match_heap_kib_max);
    pattern->code = std::move(code);
    result.patterns_.push_back(std::move(pattern));
  }
  return result;
}

Result<void> PreTokenizer::Pattern::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  const std::unique_ptr<pcre2_match_data, Free> match(pcre2_match_data_create(1, nullptr));
  const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  std::size_t position = 0;
  while (position < text.size()) {
    int count = pcre2_match(code.get(), subject, text.size(), position, PCRE2_NO_UTF_CHECK, match.get(), limits.get());
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its stack on the heap
      count =
          pcre2_match(code.get(), subject, text.size(), position, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match.get(), limits.get());
    }
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0) {
      return Error{ErrorCode::too_large, "the tokenizer's regular expression gives up at byte " + std::to_string(position) +
                                             " of " + std::to_string(text.size()) + ": " + message_of(count)};
    }
    const std::size_t begin = bounds[0];
    const std::size_t end = bounds[1];
    if (begin < position || end < begin || end == position) {
      return Error{ErrorCode::unsupported,
                   "the tokenizer's regular expression takes nothing at byte " + std::to_string(position)};
    }
    if (begin > position) pieces.push_back(text.substr(position, begin - position));
    if (end > begin) pieces.push_back(text.substr(begin, end - begin));
    position = end;
  }
  if (position < text.size()) pieces.push_back(text.substr(position));
  return {};
}

Result<void> PreTokenizer::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  if (patterns_.empty()) {
    if (!text.empty()) pieces.push_back(text);
    return {};
  }
  if (patterns_.size() == 1) return patterns_.front()->split(text, pieces);
  std::vector<std::string_view> coarse{text};
  std::vector<std::string_view> fine;
  for (const auto& pattern : patterns_) {
    fine.clear();
    for (const std::string_view piece : coarse) TROUPE_TRY_DO(pattern->split(piece, fine));
    coarse.swap(fine);
  }
  pieces.insert(pieces.end(), coarse.begin(), coarse.end());
  return {};
}

}  // namespace troupe::model
