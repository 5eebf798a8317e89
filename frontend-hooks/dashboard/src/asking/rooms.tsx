import { Link } from "../parts/link.tsx";
import { paths } from "../router.ts";

const ROOMS = [
  { on: "inbox", name: "Inbox", to: paths.approvals() },
  { on: "grants", name: "Grants", to: paths.grants() },
  { on: "audit", name: "Audit", to: paths.audit() },
] as const;

/** The pages about what people decide: what is open, what they let through for good, and what they did. */
export function Rooms({ on }: { on: (typeof ROOMS)[number]["on"] }) {
  return (
    <nav aria-label="About approvals">
      <ul className="rooms">
        {ROOMS.map((room) => (
          <li key={room.on}>
            <Link to={room.to} aria-current={room.on === on ? "page" : undefined}>
              {room.name}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
