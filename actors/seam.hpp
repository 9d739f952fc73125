// What differs between CAF 0.17 and 1.x, and nothing else: how an interface is written, how a message is inspected, what a
// request and a delayed message look like. Everything in actors/ goes through here.
#pragma once

#include <caf/all.hpp>
#include <caf/meta/load_callback.hpp>
#include <caf/meta/type_name.hpp>
#include <chrono>
#include <concepts>
#include <functional>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace troupe::actors {

/// `on<Hello>::gives<Welcome>`: a message that is answered. `takes<Announce>`: one that is not.
template <class... In>
struct on {
  template <class... Out>
  using gives = typename caf::replies_to<In...>::template with<Out...>;
};
template <class... In>
using takes = caf::reacts_to<In...>;

/// Code to be run by an actor, sent to it from wherever something was waited for: a disk, an engine's thread, a timer. Never
/// leaves its node.
struct Continuation {
  std::function<void()> run;
};

/// A function that, called from any thread, has `work` run by the actor; if the actor has ended, nothing happens.
template <class Self, class... Arguments>
std::function<void(Arguments...)> resume(Self* self, std::function<void(Arguments...)> work) {
  auto weak = caf::actor_cast<caf::weak_actor_ptr>(self);
  return [weak, work = std::move(work)](Arguments... arguments) {
    auto strong = weak.lock();
    if (!strong) return;
    caf::anon_send(caf::actor_cast<caf::actor>(strong),
                   Continuation{[work, ... kept = std::move(arguments)]() mutable { work(std::move(kept)...); }});
  };
}

/// Has `work` run by the actor after a while.
template <class Self>
void after(Self* self, Duration delay, std::function<void()> work) {
  self->delayed_send(self, std::chrono::duration_cast<std::chrono::microseconds>(delay), Continuation{std::move(work)});
}

/// Errors travel as CAF errors of our own category, "troupe". CAF takes code 0 for "no error", so ours begin at 1.
caf::error to_caf(const Error& error);
/// Whatever went wrong with a request; one that was never answered is `unavailable`. `what` was being done.
Error from_caf(const caf::error& error, const std::string& what);

/// What every actor does about messages, exits and exceptions that it has no handler for: nothing is printed, unknown messages
/// are answered with an error, an exception ends the actor with its text as the reason.
template <class Self>
void install_defaults(Self* self) {
  self->set_default_handler(caf::drop);
  self->set_exit_handler([self](caf::exit_msg& message) {
    if (message.reason) self->quit(std::move(message.reason));
  });
  self->set_exception_handler([](std::exception_ptr& thrown) -> caf::error {
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& exception) {
      return caf::make_error(caf::sec::runtime_error, std::string(exception.what()));
    } catch (...) {
      return caf::make_error(caf::sec::runtime_error, std::string("something that is no std::exception was thrown"));
    }
  });
}

/// Ends an actor ahead of whatever is in its mailbox.
template <class Handle>
void stop(const Handle& actor) {
  if (!actor) return;
  caf::anon_send<caf::message_priority::high>(caf::actor_cast<caf::actor>(actor),
                                              caf::exit_msg{actor.address(), caf::exit_reason::user_shutdown});
}

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::Continuation)
