import type { ReactNode, SVGProps } from "react";

function Icon({ children, ...rest }: SVGProps<SVGSVGElement> & { children: ReactNode }) {
  return (
    <svg
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.6"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      {...rest}
    >
      {children}
    </svg>
  );
}

export function BrandMark() {
  return (
    <Icon strokeWidth="1.9">
      <path d="M5 4.5v11M5 7h5a3.5 3.5 0 0 1 3.5 3.5V13" />
      <circle cx="5" cy="3.5" r="1.6" fill="currentColor" />
      <circle cx="5" cy="16.5" r="1.6" fill="currentColor" />
      <circle cx="13.5" cy="14.5" r="2.3" fill="currentColor" />
    </Icon>
  );
}

export const RunsIcon = () => (
  <Icon>
    <path d="M7.5 5h9M7.5 10h9M7.5 15h9" />
    <circle cx="3.6" cy="5" r="0.9" />
    <circle cx="3.6" cy="10" r="0.9" />
    <circle cx="3.6" cy="15" r="0.9" />
  </Icon>
);

export const ApprovalsIcon = () => (
  <Icon>
    <path d="M3 11.5V5.2A2.2 2.2 0 0 1 5.2 3h9.6A2.2 2.2 0 0 1 17 5.200v9.600a2.2 2.2 0 0 1-2.2 2.200H5.200A2.2 2.2 0 0 1 3 14.800z" />
    <path d="M3 12h3.500l1.3 2h4.400l1.3-2H17M7.5 7.700l1.9 1.900L13 6" />
  </Icon>
);

export const AgentsIcon = () => (
  <Icon>
    <path d="M3 5.500A2.5 2.5 0 0 1 5.5 3h9A2.5 2.5 0 0 1 17 5.500v6a2.5 2.5 0 0 1-2.5 2.500H9.500L5.5 17v-3A2.5 2.5 0 0 1 3 11.500z" />
    <path d="M7 7.200h6M7 10.200h3.5" />
  </Icon>
);

export const PromptsIcon = () => (
  <Icon>
    <path d="M5.500 3h6.700L16 6.800v8A2.2 2.200 0 0 1 13.800 17H5.500A1.5 1.500 0 0 1 4 15.500v-11A1.5 1.500 0 0 1 5.500 3z" />
    <path d="M12 3v4h4M7 10.500h6M7 13.500h3.5" />
  </Icon>
);

export const WorkersIcon = () => (
  <Icon>
    <rect x="3" y="3.5" width="14" height="5" rx="1.5" />
    <rect x="3" y="11.5" width="14" height="5" rx="1.5" />
    <path d="M6 6h.01M6 14h.01M9.5 6H14M9.5 14H14" />
  </Icon>
);

export const SunIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="3.3" />
    <path d="M10 2.500v1.300M10 16.200v1.300M2.5 10h1.300M16.2 10h1.300M4.7 4.700l.9.9M14.4 14.400l.9.9M15.3 4.700l-.9.9M5.6 14.400l-.9.9" />
  </Icon>
);

export const HelpIcon = () => (
  <Icon>
    <path d="M7.6 7.700a2.5 2.5 0 1 1 3.6 2.200c-.8.4-1.2.9-1.2 1.800M10 14.400h.01" />
    <circle cx="10" cy="10" r="7.2" />
  </Icon>
);

export const LeaveIcon = () => (
  <Icon>
    <path d="M8 3.500H5A1.5 1.5 0 0 0 3.5 5v10A1.5 1.5 0 0 0 5 16.500h3M12.5 13.5 16 10l-3.5-3.500M16 10H8" />
  </Icon>
);

export const CopyIcon = () => (
  <Icon>
    <rect x="7" y="7" width="9.5" height="9.5" rx="1.8" />
    <path d="M13 7V5.300A1.8 1.8 0 0 0 11.2 3.500H5.300A1.8 1.8 0 0 0 3.5 5.300v5.900A1.8 1.8 0 0 0 5.3 13H7" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="m5 5 10 10M15 5 5 15" />
  </Icon>
);

export const SendIcon = () => (
  <Icon>
    <path d="M10 16V4.500M5 9.200l5-5 5 5" />
  </Icon>
);

export const StopIcon = () => (
  <Icon>
    <rect x="5.5" y="5.5" width="9" height="9" rx="1.5" fill="currentColor" />
  </Icon>
);
