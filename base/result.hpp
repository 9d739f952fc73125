// How a function says that it failed for a reason outside the program: Result<T>, which holds a T or an Error.
// Bugs are not errors; they stop the process through TROUPE_CHECK (check.hpp).
#pragma once

#include <source_location>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace troupe {

enum class ErrorCode {
  invalid_argument,   ///< a value that no state of the system would accept
  out_of_range,       ///< a number outside its stated limits
  not_found,          ///< a file, a field or an id that is not there
  unsupported,        ///< well-formed, but nothing here implements it
  corrupt,            ///< bytes that contradict themselves or their checksum
  too_large,          ///< more than a limit allows, and waiting would not help
  overloaded,         ///< more than there is room for now; trying again later may help
  unavailable,        ///< a part that is needed cannot be reached
  cancelled,          ///< whoever asked no longer wants the answer
  deadline_exceeded,  ///< the time allowed is over
  io,                 ///< the operating system refused a read, a write or an allocation
};

/// The code in lower case, as it appears in messages and in JSON.
std::string_view to_string(ErrorCode code);

/// What went wrong, for a program (`code`) and for a person (`message`: what was seen, what was expected, what to do).
struct Error {
  ErrorCode code;
  std::string message;
  std::source_location where;

  Error(ErrorCode error_code, std::string text, std::source_location location = std::source_location::current())
      : code(error_code), message(std::move(text)), where(location) {}

  /// The same error with what was being done in front: "reading config.json: ...".
  Error within(std::string_view context) && {
    message = std::string(context) + ": " + message;
    return std::move(*this);
  }
};

/// A value or an Error. A function that returns one can `return Error{...}` as well as `return value`.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;
  Result() = default;
  Result(Error error) : Base(tl::unexpect, std::move(error)) {}                          // NOLINT(google-explicit-constructor)
  Result(tl::unexpected<Error> error) : Base(tl::unexpect, std::move(error.value())) {}  // NOLINT(google-explicit-constructor)
};

}  // namespace troupe

#define TROUPE_JOIN_INNER(a, b) a##b
#define TROUPE_JOIN(a, b) TROUPE_JOIN_INNER(a, b)

/// `TROUPE_TRY(auto x, f());` declares x with the value of f(), or returns f()'s error from the enclosing function.
/// `TROUPE_TRY_DO(f());` is the same for a Result<void>.
#define TROUPE_TRY(declaration, ...) TROUPE_TRY_INNER(TROUPE_JOIN(troupe_result_, __LINE__), declaration, __VA_ARGS__)
#define TROUPE_TRY_INNER(name, declaration, ...)              \
  auto name = (__VA_ARGS__);                                  \
  if (!name) return ::troupe::Error(std::move(name).error()); \
  declaration = *std::move(name)

#define TROUPE_TRY_DO(...) \
  if (auto troupe_result = (__VA_ARGS__); !troupe_result) return ::troupe::Error(std::move(troupe_result).error())
